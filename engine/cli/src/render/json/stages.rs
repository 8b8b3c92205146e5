//! How far installations came, and what was put back, as data.

use serde::Serialize;
use waxwing_flow::plugin::{PutBack, PutBackResult};
use waxwing_flow::report::StageReport;

use super::{FailureJson, failure};

#[derive(Debug, Serialize)]
pub(super) struct StageJson {
    /// `plan`, `install`, `verify`, `undo`
    stage: &'static str,
    took_ms: u128,
    /// None: it ended well.
    failure: Option<FailureJson>,
}

pub(super) fn stage(report: &StageReport) -> StageJson {
    StageJson {
        stage: report.stage.as_str(),
        took_ms: report.took.as_millis(),
        failure: report.ended.as_ref().err().map(failure),
    }
}

#[derive(Debug, Serialize)]
pub(super) struct PutBackJson {
    plugin: String,
    path: String,
    /// `restored`, `left-alone`, `failed`
    result: &'static str,
    error: Option<String>,
}

pub(super) fn put_back(file: &PutBack) -> PutBackJson {
    let (result, error) = match &file.result {
        PutBackResult::Restored => ("restored", None),
        PutBackResult::LeftAlone => ("left-alone", None),
        PutBackResult::Failed(why) => ("failed", Some(why.clone())),
    };
    PutBackJson {
        plugin: file.plugin.to_string(),
        path: file.path.clone(),
        result,
        error,
    }
}
