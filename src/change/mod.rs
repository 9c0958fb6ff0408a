//! What changed: trees and configurations → input keys, affected images, and the reason for each (specification §6).
//!
//! Pure: values in, values out. `git` makes the [`Tree`]s; `plan` knows the graph and asks for keys in its order:
//!
//! 1. [`Tree::image_dirs`] of both sides; their configurations are read and parsed elsewhere.
//! 2. [`Located::find`] says where build context and Dockerfile of a local image are.
//! 3. [`Reach::find`] says what of it the ignore files and the Dockerfile let reach the build.
//! 4. [`Keys::own`] for each image, on any thread, then [`Own::built_on`], dependencies first; [`Keys::of_base`] shares
//!    the work between the sides.
//! 5. [`compare`] tells new, changed, unchanged and removed images; [`file_notes`] explains the files of one.
//!
//! A rename counts at both ends because both paths change; a change back is none because only the two ends are
//! compared; a file below nested image directories counts for each whose build context holds it.

mod compare;
mod content;
mod form;
mod ignore;
mod input_key;
mod inputs;
mod key;
mod listed;
mod located;
mod memo;
mod note;
mod oid;
mod path;
mod reach;
mod resolve;
mod tree;
mod trigger;

pub use compare::{Difference, ImageChange, ImageId, Side, SideImage, State, built_on, compare, touched};
pub use ignore::Globs;
pub use input_key::InputKey;
pub use inputs::{Dependency, ImageInputs, SourceInput};
pub use key::{Keyed, Keys, Own};
pub use listed::{ListedImage, by_paths};
pub use located::Located;
pub use note::{FileNote, FileStatus, RuleKind, file_notes};
pub use oid::{Mode, Oid};
pub use path::{RepoPath, show_bytes};
pub use reach::{CopySource, IgnorePlaces, Ignoring, Reach, UNSEEN};
pub use resolve::Resolved;
pub(crate) use tree::is_own_output;
pub use tree::{Entry, GrowingTree, Record, Tree, TreeChange};
pub use trigger::Uncounted;
