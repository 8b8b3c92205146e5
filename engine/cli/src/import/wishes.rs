//! Chain and profile, which are matters of a CA here and of a certificate elsewhere.

use waxwing_core::name::CaName;

use super::Draft;

/// What a certificate wants of its CA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wish {
    /// The certificate, as the other client calls it.
    pub(crate) about: String,
    /// Its CA.
    pub(crate) ca: CaName,
    /// Common name of the issuer of the wanted chain.
    pub(crate) chain: Option<String>,
    /// The ACME profile.
    pub(crate) profile: Option<String>,
}

/// Gives each CA what its certificates want. A chain that some of them want the others get, too, which is told. A
/// profile changes how long a certificate lives, so that it is given only if all want it.
pub(super) fn grant(draft: &mut Draft) {
    let wishes = std::mem::take(&mut draft.wishes);
    for wish in &wishes {
        let at_it = || wishes.iter().filter(|other| other.ca == wish.ca);
        if let Some(chain) = &wish.chain {
            let mut others = at_it().filter(|other| other.chain != wish.chain);
            if others.any(|other| other.chain.is_some()) {
                tell(draft, wish, "preferred-chain", chain);
            } else {
                if at_it().any(|other| other.chain.is_none()) {
                    draft.remark(
                        wish.ca.as_str(),
                        format!(
                            "{} wants the chain \"{chain}\"; here all certificates of {} get it",
                            wish.about, wish.ca
                        ),
                        "nothing to do, unless another one needs the usual chain: then a second [ca.NAME]",
                    );
                }
                let section = draft.cas.entry(wish.ca.clone()).or_default();
                section.preferred_chain = Some(chain.clone());
            }
        }
        if let Some(profile) = &wish.profile {
            if at_it().all(|other| other.profile == wish.profile) {
                let section = draft.cas.entry(wish.ca.clone()).or_default();
                section.profile = Some(profile.clone());
            } else {
                tell(draft, wish, "profile", profile);
            }
        }
    }
}

fn tell(draft: &mut Draft, wish: &Wish, key: &str, value: &str) {
    let ca = &wish.ca;
    draft.remark(
        &wish.about,
        format!("it wants {key} \"{value}\", and others of {ca} do not: here that is a matter of the CA, so none gets it"),
        format!(
            "a second [ca.NAME] with the directories of {ca} and {key} = \"{value}\", and ca = [\"NAME\"] in its \
             [[certificate]], keeps them apart"
        ),
    );
}
