//! How much a CA allows in a time. Stated by the CA, counted by it; data here.

/// What a CA counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LimitKind {
    /// newOrder, for the account.
    Orders,
    /// Certificates, for each registered domain.
    Certificates,
    /// Certificates with exactly the same names.
    Duplicates,
    /// Authorizations begun, for the account: one for each name that has none to reuse.
    Authorizations,
    /// Authorizations that failed, for the account and each name.
    FailedAuthorizations,
}

impl LimitKind {
    /// Every kind, in the order of the documentation.
    pub const ALL: [Self; 5] = [
        Self::Orders,
        Self::Certificates,
        Self::Duplicates,
        Self::Authorizations,
        Self::FailedAuthorizations,
    ];

    /// True if it is counted for the whole account, and not for a set of names or a name.
    pub const fn is_of_account(self) -> bool {
        matches!(self, Self::Orders | Self::Authorizations)
    }

    /// The key below `limits`: `failed-authorizations`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Orders => "orders",
            Self::Certificates => "certificates",
            Self::Duplicates => "duplicates",
            Self::Authorizations => "authorizations",
            Self::FailedAuthorizations => "failed-authorizations",
        }
    }
}
