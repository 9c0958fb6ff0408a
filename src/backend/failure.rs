//! What a failed builder meant: the kind of failure, and whether trying again may help.
//!
//! Builders have no porcelain for this, so the tables below are matched against what they say in English
//! (`LC_ALL=C`). The rule that keeps it honest: when the builder says that an instruction's own command failed,
//! that is the user's build, and only the narrow table is asked of the last lines of that command.

use crate::error::ErrorKind;

/// The class of a failed build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Decides the exit status.
    pub kind: ErrorKind,
    /// The cause may go away by itself: network, temporary resource, rate limit.
    pub temporary: bool,
    /// An instruction's own command failed, or the machine: nothing that the builder read is to blame.
    pub not_the_builders: bool,
}

/// A builder's words for "the instruction's own command failed".
const COMMAND_FAILED: &[&str] = &[
    "did not complete successfully: exit code",
    "returned a non-zero code",
    "waiting for process to exit: exit status",
    "while running runtime: exit status",
    "error building at step \"run",
    "building at step \"run",
    "go build: exit status",
];

/// No room on a disk: asked of every line, whoever says it.
const FULL: &[&str] = &["no space left on device", "disk quota exceeded", "cannot allocate memory", "out of memory"];

/// A child that the system killed.
const KILLED: &[&str] = &["exit code: 137", "exit status 137", "non-zero code: 137", "signal: killed"];

/// Wrong or missing credentials: trying again does not help.
const AUTH: &[&str] = &[
    "unauthorized",
    "authentication required",
    "no basic auth credentials",
    "denied: ",
    "403 forbidden",
    "error checking push permissions",
    "insufficient_scope",
];

/// What builders say when a registry does not take what was built.
const PUSH_REFUSED: &[&str] = &[
    "error pushing image",
    "failed to push",
    "uploading manifest",
    "writing manifest",
    "writing blob",
    "initiating layer upload",
    "name_unknown",
    "unexpected status from p",
];

/// What a command inside a RUN may say when the network failed it.
const COMMAND_NETWORK: &[&str] = &[
    "temporary failure resolving",
    "temporary failure in name resolution",
    "could not resolve host",
    "429 too many requests",
    "503 service unavailable",
    "tls handshake timeout",
    "connection timed out",
];

/// What the builder itself may say when network, registry or a busy machine failed it.
const TEMPORARY: &[&str] = &[
    "toomanyrequests",
    "too many requests",
    "rate limit",
    "connection refused",
    "connection reset",
    "broken pipe",
    "i/o timeout",
    "tls handshake timeout",
    "no such host",
    "network is unreachable",
    "server misbehaving",
    "context deadline exceeded",
    "unexpected eof",
    "500 internal server error",
    "502 bad gateway",
    "503 service unavailable",
    "504 gateway timeout",
    "unexpected status code 50",
    "unexpected status: 50",
    "resource temporarily unavailable",
    "device or resource busy",
];

/// The status of what the system killed, for want of memory as a rule. A builder that crashes has another one.
const SIGKILL: i32 = 128 + 9;

/// How many of the last lines are the end of a failed command.
const COMMAND_LINES: usize = 12;
/// How many of the last lines hold the builder's own words.
const BUILDER_LINES: usize = 5;

/// Classifies a build that ended badly by its exit status (128 and the number of a signal that ended it) and its last
/// lines.
#[must_use]
pub fn classify(status: i32, tail: &[String]) -> Failure {
    let lines: Vec<String> = tail.iter().map(|line| line.to_ascii_lowercase()).collect();
    let last = |count: usize| &lines[lines.len().saturating_sub(count)..];
    let says = |lines: &[String], table: &[&str]| lines.iter().any(|line| table.iter().any(|text| line.contains(text)));
    let permanent = |kind| Failure { kind, temporary: false, not_the_builders: kind == ErrorKind::ResourceError };

    if status == SIGKILL || says(last(COMMAND_LINES), KILLED) || says(last(COMMAND_LINES), FULL) {
        return permanent(ErrorKind::ResourceError);
    }
    if says(last(COMMAND_LINES), COMMAND_FAILED) {
        let temporary = says(last(COMMAND_LINES), COMMAND_NETWORK);
        return Failure { kind: ErrorKind::BuildError, temporary, not_the_builders: true };
    }
    if says(last(BUILDER_LINES), TEMPORARY) {
        return Failure { temporary: true, ..permanent(ErrorKind::RegistryError) };
    }
    if says(last(BUILDER_LINES), AUTH) {
        return permanent(ErrorKind::AuthError);
    }
    if says(last(BUILDER_LINES), PUSH_REFUSED) {
        return permanent(ErrorKind::RegistryError);
    }
    permanent(ErrorKind::BuildError)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: i32, lines: &[&str]) -> (&'static str, bool) {
        let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        let failure = classify(code, &lines);
        (failure.kind.code(), failure.temporary)
    }

    #[test]
    fn a_failing_command_is_the_users_and_is_not_tried_again() {
        for end in [
            "error: failed to solve: process \"/bin/false\" did not complete successfully: exit code: 1",
            "The command '/bin/busybox false' returned a non-zero code: 1",
            "error building image: error building stage: failed to execute command: waiting for process to exit: exit status 1",
            "Error: building at STEP \"RUN /bin/busybox false\": exit status 1",
        ] {
            assert_eq!(of(1, &["test_login: connection refused", end]), ("build_error", false), "{end}");
            assert_eq!(of(1, &["curl: (6) Could not resolve host: x", end]), ("build_error", true), "{end}");
        }
    }

    #[test]
    fn a_push_that_the_registry_refuses_is_the_registrys() {
        for end in [
            "Error: writing blob: initiating layer upload to /v2/a/blobs/uploads/ in h:5000: name unknown: no repository",
            "Error: uploading manifest 1 to h:5000/a: manifest invalid: manifest invalid",
            "error pushing image: failed to push to destination h:5000/a:1: PUT http://h:5000/v2/a: NAME_UNKNOWN",
            "ERROR: failed to push h:5000/a:1: unexpected status from PUT request: 413 Request Entity Too Large",
        ] {
            assert_eq!(of(1, &[end]), ("registry_error", false), "{end}");
        }
    }

    #[test]
    fn network_and_rate_limits_of_the_builder_are_temporary() {
        for line in [
            "error: toomanyrequests: You have reached your pull rate limit",
            "Error: pinging container registry x: dial tcp: connect: connection refused",
            "error building image: Get \"https://x/v2/\": net/http: TLS handshake timeout",
            "received unexpected HTTP status: 503 Service Unavailable",
        ] {
            assert_eq!(of(1, &[line]), ("registry_error", true), "{line}");
        }
    }

    #[test]
    fn credentials_disk_and_kills_are_not() {
        assert_eq!(of(1, &["error checking push permissions: UNAUTHORIZED"]), ("auth_error", false));
        assert_eq!(of(1, &["write /x: No space left on device"]), ("resource_error", false));
        assert_eq!(of(137, &[]), ("resource_error", false));
        assert_eq!(of(1, &["process \"x\" did not complete successfully: exit code: 137"]), ("resource_error", false));
        assert_eq!(of(139, &[]), ("build_error", false), "a crash");
        assert_eq!(of(1, &["unknown instruction: RNU"]), ("build_error", false));
    }
}
