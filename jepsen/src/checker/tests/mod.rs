//! Every checker against histories that keep its promise and histories that break it; the search and the
//! certificate against brute force too.

mod generated;
mod judging;
mod planted;
mod search;
mod seen;
pub(super) mod tale;
