//! The components inside the binary. They pass the same manifest, grant and limit code as any
//! other.

/// Id and bytes of each embedded component.
pub(crate) static EMBEDDED: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

/// The component of that id.
pub(crate) fn find(id: &str) -> Option<&'static [u8]> {
    EMBEDDED
        .iter()
        .find(|(known, _)| *known == id)
        .map(|(_, bytes)| *bytes)
}
