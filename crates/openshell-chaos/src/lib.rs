//! Faults of our own, planted to be found: [`Bug`]s that switch a promise of the product off, and [`Point`]s at
//! which a process ends, stands still or meets an error. Who hurts clusters with them, and who must notice, is
//! `openshell-jepsen`'s business.
//!
//! All of it is behind the feature `chaos`. Without it, as in everything that is shipped, each question is a
//! constant "no" and leaves nothing in the program. With it, as in a build of the whole workspace, variables
//! choose: [`BUG_VARIABLE`], [`POINT_VARIABLE`] and [`FILE_VARIABLE`]. Without variables nothing happens.
//!
//! Not the crate `fail`: its points are strings that nobody lists, its panics are caught by the runtime, where
//! a crash must end the process, and it has nothing for bugs.

mod bug;
mod plan;
mod planted;
mod point;

pub use bug::Bug;
pub use plan::{BUG_VARIABLE, FILE_VARIABLE, POINT_VARIABLE};
pub use planted::{COMPILED_IN, announcement, bug, changes, disk_point, local_time_ms, point};
pub use point::Point;
