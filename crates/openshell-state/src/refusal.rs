//! A refusal: a rule said no. Deterministic data, carried to the caller with its gRPC code.

use openshell_proto::log;

/// The gRPC codes that rules answer with, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Code {
    /// The request itself is wrong.
    InvalidArgument = 3,
    /// What the request names does not exist.
    NotFound = 5,
    /// What the request would create exists.
    AlreadyExists = 6,
    /// The caller may not.
    PermissionDenied = 7,
    /// A bound is reached.
    ResourceExhausted = 8,
    /// The state forbids it now.
    FailedPrecondition = 9,
    /// The caller's own expectation of a version does not hold.
    Aborted = 10,
    /// Outside what is kept.
    OutOfRange = 11,
    /// Not built.
    Unimplemented = 12,
    /// The state contradicts itself.
    Internal = 13,
    /// Something outside of the cluster that the call needs does not answer. Unlike the cluster's own
    /// unavailability it is an answer, and is remembered like any other.
    Unavailable = 14,
    /// Nobody is authenticated.
    Unauthenticated = 16,
}

impl Code {
    /// The code of a stored number; anything unknown reads as `Internal`, which no rule
    /// that stores a refusal uses.
    #[must_use]
    pub fn from_number(number: u32) -> Self {
        const ALL: [Code; 12] = [
            Code::InvalidArgument,
            Code::NotFound,
            Code::AlreadyExists,
            Code::PermissionDenied,
            Code::ResourceExhausted,
            Code::FailedPrecondition,
            Code::Aborted,
            Code::OutOfRange,
            Code::Unimplemented,
            Code::Internal,
            Code::Unavailable,
            Code::Unauthenticated,
        ];
        ALL.into_iter().find(|code| *code as u32 == number).unwrap_or(Code::Internal)
    }
}

/// A rule said no. Retrying the same call on the same state hears the same.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// The gRPC code.
    pub code: Code,
    /// What was wrong, where, and what to do.
    pub message: String,
}

impl Refusal {
    /// A refusal with any code.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
    /// `INVALID_ARGUMENT`.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidArgument, message)
    }
    /// `NOT_FOUND`.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Code::NotFound, message)
    }
    /// `ALREADY_EXISTS`.
    pub fn exists(message: impl Into<String>) -> Self {
        Self::new(Code::AlreadyExists, message)
    }
    /// `FAILED_PRECONDITION`.
    pub fn precondition(message: impl Into<String>) -> Self {
        Self::new(Code::FailedPrecondition, message)
    }
    /// `ABORTED`: only for the caller's own expectation.
    pub fn aborted(message: impl Into<String>) -> Self {
        Self::new(Code::Aborted, message)
    }
    /// `PERMISSION_DENIED`.
    pub fn denied(message: impl Into<String>) -> Self {
        Self::new(Code::PermissionDenied, message)
    }
    /// `INTERNAL`: the state contradicts itself.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Code::Internal, message)
    }

    /// The refusal as a remembered reply holds it.
    #[must_use]
    pub fn to_proto(&self) -> log::Refusal {
        log::Refusal { code: self.code as u32, message: self.message.clone() }
    }

    /// Reads a remembered refusal.
    #[must_use]
    pub fn from_proto(refusal: &log::Refusal) -> Self {
        Self { code: Code::from_number(refusal.code), message: refusal.message.clone() }
    }
}
