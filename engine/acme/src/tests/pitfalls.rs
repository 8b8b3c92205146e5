//! What real CAs do and the RFC allows, and other clients got wrong. One claim each.

mod exchange;
mod issuance;

use waxwing_core::name::Identifier;

use super::fixture::ORDER_URL;
use crate::account::NewAccount;
use crate::authorization::ReadAuthorization;
use crate::order::{Finalize, NewOrder, ReadOrder};

fn new_order(names: &[&str]) -> NewOrder {
    let identifier = |name: &&str| Identifier::parse(name).expect("a literal name");
    NewOrder {
        identifiers: names.iter().map(identifier).collect(),
        profile: None,
        replaces: None,
        not_after: None,
    }
}

fn read_order() -> ReadOrder {
    ReadOrder {
        url: ORDER_URL.to_owned(),
    }
}

fn read_authorization() -> ReadAuthorization {
    ReadAuthorization {
        url: "https://ca.example/authz/1".to_owned(),
    }
}

fn register() -> NewAccount {
    NewAccount {
        contact: Vec::new(),
        terms_agreed: true,
        external: None,
        only_existing: false,
    }
}

fn finalize() -> Finalize {
    Finalize {
        url: "https://ca.example/order/1/finalize".to_owned(),
        csr_der: vec![0x30, 0x82, 0xff, 0x00, 0xfb],
    }
}
