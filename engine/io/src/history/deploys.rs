//! How installations and looks at what is served ended.

use rusqlite::params;
use waxwing_flow::history::ClosedDeploy;
use waxwing_flow::ports::StoreError;

use super::{SqliteHistory, failed, list};

/// One more of the same: the line before it was of the same version, stage and outermost cause. `?1` is the
/// certificate, `?2` the target, `?3` the end, `?4` the version, `?5` the stage, `?6` the causes.
const SAME: &str = "
UPDATE deploy SET ended = ?3, times = times + 1, causes = ?6
WHERE id = (SELECT max(id) FROM deploy WHERE certificate = ?1 AND target = ?2)
  AND version IS ?4 AND stage = ?5 AND json_extract(causes, '$[0]') IS json_extract(?6, '$[0]')";

const NEW: &str = "
INSERT INTO deploy (run, certificate, version, target, started, ended, stage, causes)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)";

pub(super) fn record(history: &SqliteHistory, deploy: &ClosedDeploy) -> Result<(), StoreError> {
    let name = deploy.certificate.as_str();
    let target = deploy.target.to_string();
    let ended = deploy.ended.unix_ms();
    let causes = match &deploy.failed {
        Some(failed) => list(&failed.causes),
        None => "[]".to_owned(),
    };
    let stage = deploy.failed.as_ref().map(|failed| failed.stage);
    if let Some(stage) = stage {
        let same = params![name, target, ended, deploy.version, stage, causes];
        let connection = history.connection();
        let changed = connection.execute(SAME, same);
        let changed = changed.map_err(|cause| failed("write", &history.path, &cause))?;
        if changed > 0 {
            return Ok(());
        }
    }
    history.write(
        NEW,
        params![
            deploy.run,
            name,
            deploy.version,
            target,
            deploy.started.unix_ms(),
            ended,
            stage,
            causes,
        ],
    )
}
