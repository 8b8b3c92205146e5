//! Looks up CAA records as a CA does (RFC 8659 section 3): at the name, its aliases followed, then
//! at each name above it.

use waxwing_core::caa::CaaRecord;
use waxwing_core::name::DomainName;
use waxwing_flow::ports::LookupError;

use super::{DnsProbe, ask};

/// The records that count for a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaaSet {
    /// The name at which they were found: the one asked about or one above it.
    pub at: DomainName,
    /// All of them.
    pub records: Vec<CaaRecord>,
}

impl DnsProbe {
    /// The CAA records that count for `name`, by the resolvers; none if every CA may issue.
    ///
    /// # Errors
    /// When a name on the way up cannot be looked up: a CA then refuses, whatever lies above.
    pub async fn caa(&self, name: &DomainName) -> Result<Option<CaaSet>, LookupError> {
        let resolver = self.resolver(name)?;
        let mut at = Some(name.clone());
        while let Some(candidate) = at {
            let target = self.follow(&resolver, candidate.clone()).await?;
            let found = ask::caa(&resolver, &target).await;
            let records = found
                .map_err(|no| self.failed(&target, "its CAA records cannot be looked up", &no))?;
            if !records.is_empty() {
                return Ok(Some(CaaSet {
                    at: candidate,
                    records,
                }));
            }
            at = candidate.parent();
        }
        Ok(None)
    }
}
