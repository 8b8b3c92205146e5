//! The Rust side of `wit/`: generated, and nothing else.
//!
//! The installer's world holds every interface of the host; the DNS world shares its modules, so
//! that each interface has one host trait.

pub(crate) mod installer {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "waxwing:plugin/installer-plugin",
        imports: { default: async | trappable },
        exports: { default: async },
        additional_derives: [PartialEq, Eq],
    });
}

pub(crate) mod dns {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "waxwing:plugin/dns-plugin",
        imports: { default: async | trappable },
        exports: { default: async },
        with: {
            "waxwing:host": super::installer::waxwing::host,
            "waxwing:plugin/types": super::installer::waxwing::plugin::types,
        },
        additional_derives: [PartialEq, Eq],
    });
}
