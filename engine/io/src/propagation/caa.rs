//! Looks up CAA records as a CA does (RFC 8659 section 3): at the name, its aliases followed, then
//! at each name above it.

use hickory_proto::rr::RecordType;
use waxwing_core::caa::CaaSet;
use waxwing_core::name::DomainName;
use waxwing_flow::ports::LookupError;

use super::{DnsProbe, ask, dnssec};

impl DnsProbe {
    pub(super) async fn caa_set(&self, name: &DomainName) -> Result<Option<CaaSet>, LookupError> {
        let resolver = self.resolver(name)?;
        let mut at = Some(name.clone());
        while let Some(candidate) = at {
            let target = self.follow(&resolver, candidate.clone()).await?;
            let records = match ask::caa(&resolver, &target).await {
                Ok(records) => records,
                Err(no) => {
                    let what = "its CAA records cannot be looked up";
                    // What proves that there is none may be wrong although the rest of the zone is right.
                    let error = self.explained(&target, what, &no, RecordType::CAA).await;
                    return Err(match error.bogus {
                        true => error,
                        false => self.explained(&target, what, &no, RecordType::SOA).await,
                    });
                }
            };
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

    /// A look-up that failed, with the reason if it is the zone's signatures.
    pub(super) async fn explained(
        &self,
        name: &DomainName,
        what: &str,
        no: &ask::NoAnswer,
        question: RecordType,
    ) -> LookupError {
        let mut error = self.failed(name, what, no);
        if matches!(no, ask::NoAnswer::Code(_))
            && let Some(resolver) =
                dnssec::rejects(&self.addresses(), name, question, self.patience).await
        {
            error.bogus = true;
            error.causes.push(format!(
                "{resolver} has an answer when it is asked not to validate: the DNSSEC signatures \
                 do not hold, and every CA refuses such a name"
            ));
            error.hint = Some(format!(
                "compare the DS record at the registrar with the keys of the zone of {name}, and \
                 look for signatures that have run out"
            ));
        }
        error
    }
}
