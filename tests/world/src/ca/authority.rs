//! The issuing hierarchy: roots, one intermediate key signed by each of them, and leaves.

use std::io;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SerialNumber,
    SubjectPublicKeyInfo,
};

/// Life of roots and intermediates, in years from 1970 as rcgen wants them.
const ROOT_YEARS: (i32, i32) = (2020, 2060);

/// Signs certificates.
pub(crate) struct Authority {
    roots: Vec<CertifiedIssuer<'static, KeyPair>>,
    /// The intermediate's certificate, once by each root.
    intermediates: Vec<String>,
    intermediate: Issuer<'static, KeyPair>,
    key_identifier: Vec<u8>,
}

/// What a leaf is to say.
pub(crate) struct Leaf<'a> {
    pub(crate) names: &'a [String],
    pub(crate) public_key: &'a [u8],
    pub(crate) not_before: SystemTime,
    pub(crate) not_after: SystemTime,
    pub(crate) serial: &'a [u8],
}

impl Authority {
    /// A hierarchy with so many roots, named after `name`.
    pub(crate) fn new(name: &str, roots: usize) -> io::Result<Self> {
        let roots: Vec<_> = (1..=roots.max(1))
            .map(|nth| {
                let params = ca_params(&format!("{name} Root X{nth}"));
                let key = KeyPair::generate().map_err(io::Error::other)?;
                CertifiedIssuer::self_signed(params, key).map_err(io::Error::other)
            })
            .collect::<io::Result<_>>()?;
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let params = ca_params(&format!("{name} Intermediate Y1"));
        let intermediates = roots
            .iter()
            .map(|root| {
                params
                    .signed_by(&key, root)
                    .map(|certificate| certificate.pem())
            })
            .collect::<Result<_, _>>()
            .map_err(io::Error::other)?;
        let key_identifier = params.key_identifier(&key);
        Ok(Self {
            roots,
            intermediates,
            intermediate: Issuer::new(params, key),
            key_identifier,
        })
    }

    pub(crate) fn root_pem(&self, nth: usize) -> Option<String> {
        self.roots.get(nth).map(CertifiedIssuer::pem)
    }

    /// How many chains lead from a leaf to a root.
    pub(crate) fn chains(&self) -> usize {
        self.intermediates.len()
    }

    /// What follows the leaf in the chain to that root.
    pub(crate) fn intermediate_pem(&self, nth: usize) -> Option<&str> {
        self.intermediates.get(nth).map(String::as_str)
    }

    /// The key identifier in every leaf's authority key identifier extension.
    pub(crate) fn key_identifier(&self) -> &[u8] {
        &self.key_identifier
    }

    /// A leaf as DER and PEM.
    pub(crate) fn issue(&self, leaf: &Leaf<'_>) -> Result<(Vec<u8>, String), rcgen::Error> {
        let mut params = CertificateParams::new(leaf.names)?;
        params.distinguished_name = DistinguishedName::new();
        let epoch = rcgen::date_time_ymd(1970, 1, 1);
        params.not_before = epoch + whole_seconds(leaf.not_before);
        params.not_after = epoch + whole_seconds(leaf.not_after);
        params.serial_number = Some(SerialNumber::from_slice(leaf.serial));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        let key = SubjectPublicKeyInfo::from_der(leaf.public_key)?;
        let certificate = params.signed_by(&key, &self.intermediate)?;
        Ok((certificate.der().to_vec(), certificate.pem()))
    }
}

fn ca_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    params.use_authority_key_identifier_extension = true;
    params.not_before = rcgen::date_time_ymd(ROOT_YEARS.0, 1, 1);
    params.not_after = rcgen::date_time_ymd(ROOT_YEARS.1, 1, 1);
    params
}

/// Time since 1970 as certificates can say it, and never before.
fn whole_seconds(time: SystemTime) -> Duration {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    Duration::from_secs(since.as_secs())
}
