//! How one step of what people ask the leader for ends: it comes to something, it is refused, which is an answer
//! too, or the cluster cannot say.

use openshell_state::Refusal;

use crate::call::Unavailable;

/// What a step comes to.
pub(crate) type Step<T> = Result<Result<T, Refusal>, Unavailable>;

/// Passes a refusal on as the answer.
macro_rules! agreed {
    ($step:expr) => {
        match $step {
            Ok(value) => value,
            Err(refusal) => return Ok(Err(refusal)),
        }
    };
}

pub(crate) use agreed;
