//! The recorded verdicts, then the scenarios of the specification that need no state.

mod scenarios;
mod vectors;
