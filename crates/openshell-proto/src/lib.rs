//! Everything that crosses a wire or a disk: generated messages, services (behind the
//! features `client` and `server`), and the descriptor with what each RPC declares about
//! itself. No rules live here.

mod descriptor;
pub mod weight;

pub use descriptor::{AuthMode, MethodRule, Route, method_rules, pool};

/// The encoded `FileDescriptorSet` of every file in `proto/`, options included.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/openshell.bin"));

/// Generated code of one package, free of the lints that hold for written code.
macro_rules! package {
    ($(#[$doc:meta])* $name:ident, $package:literal) => {
        $(#[$doc])*
        #[allow(missing_docs, unreachable_pub, clippy::all, clippy::too_many_lines, clippy::wildcard_imports)]
        pub mod $name {
            include!(concat!(env!("OUT_DIR"), "/", $package, ".rs"));
        }
    };
}

/// Packages nest as their names do, since generated code refers to its neighbours by path.
#[allow(unreachable_pub, missing_docs)]
mod generated {
    pub mod openshell {
        package!(
            /// The public API.
            v1,
            "openshell.v1"
        );
        pub mod sandbox {
            package!(
                /// The policy language and a sandbox's configuration.
                v1,
                "openshell.sandbox.v1"
            );
        }
        pub mod datamodel {
            package!(
                /// Records shared by every noun.
                v1,
                "openshell.datamodel.v1"
            );
        }
        pub mod options {
            package!(
                /// What an RPC declares about itself.
                v1,
                "openshell.options.v1"
            );
        }
        pub mod cluster {
            package!(
                /// The cluster, for people and clients.
                v1,
                "openshell.cluster.v1"
            );
        }
        pub mod sync {
            package!(
                /// The newest configuration, pushed to sandboxes, and how far a change has come.
                v1,
                "openshell.sync.v1"
            );
        }
        pub mod peer {
            package!(
                /// Node to node.
                v1,
                "openshell.peer.v1"
            );
        }
        pub mod log {
            package!(
                /// Durable bytes.
                v1,
                "openshell.log.v1"
            );
        }
    }
}

pub use generated::openshell::cluster::v1 as cluster;
pub use generated::openshell::datamodel::v1 as datamodel;
pub use generated::openshell::log::v1 as log;
pub use generated::openshell::options::v1 as options;
pub use generated::openshell::peer::v1 as peer;
pub use generated::openshell::sandbox::v1 as sandbox;
pub use generated::openshell::sync::v1 as sync;
pub use generated::openshell::v1;
