//! Every checker against histories that keep its promise and histories that break it; the search and the
//! certificate against brute force too.

mod both;
mod concurrent;
mod generated;
mod judging;
mod naive;
mod planted;
mod search;
mod seen;
pub(super) mod tale;
