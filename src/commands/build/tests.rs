//! Rules of the stage that need no builder.

use super::*;
