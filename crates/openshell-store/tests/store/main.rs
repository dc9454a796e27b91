//! The tests of this crate, one program: each program would link all of RocksDB anew.

#[cfg(feature = "rocksdb")]
mod damage;
#[cfg(feature = "rocksdb")]
mod differential;
mod export;
mod golden;
mod history;
#[cfg(feature = "rocksdb")]
mod inspect;
mod leader_restore;
#[cfg(feature = "rocksdb")]
mod leaks;
mod open;
#[cfg(feature = "rocksdb")]
mod power_cut;
mod power_loss;
#[cfg(feature = "rocksdb")]
#[path = "rocksdb.rs"] // Not under the name of the crate that it uses.
mod rocksdb_facts;
mod snapshot;
mod suite;
mod support;
