//! What the YAML parser stumbled over, said in our own words: it speaks of tokens and states, people write lines.

use serde_yaml::granit_parser::ErrorKind as Kind;

/// A sentence and, where one helps, the next step.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) message: String,
    pub(super) note: Option<&'static str>,
}

/// Whether the problem is where a quote was opened rather than where it was noticed.
pub(super) fn concerns_a_quote(kind: &Kind) -> bool {
    matches!(kind, Kind::UnclosedQuotedScalar | Kind::InvalidQuotedScalarIndent)
}

const BRACKETS: &str = "inside brackets a value that holds a bracket, a brace or a comma needs quotes";

/// The sentence for a kind of syntax error.
pub(super) fn sentence(kind: &Kind) -> Problem {
    let (message, note) = match kind {
        Kind::MismatchedFlowCollectionEnd { open, close } => {
            return Problem { message: format!("`{open}` is closed by `{close}`"), note: None };
        }
        Kind::UnclosedFlowCollection { open } => {
            return Problem { message: format!("`{open}` is never closed"), note: None };
        }
        Kind::UnexpectedCharacter { character } => {
            let note = "put the value in quotes";
            return Problem { message: format!("a value cannot begin with `{character}`"), note: Some(note) };
        }
        Kind::RecursionLimitExceeded => ("nested too deep", None),
        Kind::UnclosedQuotedScalar => ("a quote is never closed", None),
        Kind::InvalidQuotedScalarIndent => {
            ("a quote is not closed before the indentation ends", Some("further lines of its value are indented more"))
        }
        Kind::UnexpectedEofFlowSequence | Kind::ExpectedFlowSequenceSeparator => {
            ("`,` or `]` is missing here", Some(BRACKETS))
        }
        Kind::UnexpectedEofFlowMapping
        | Kind::UnexpectedEofImplicitFlowMapping
        | Kind::ExpectedFlowMappingSeparator => ("`,` or `}` is missing here", Some(BRACKETS)),
        Kind::MisplacedFlowCollectionEnd => ("a closing bracket that nothing opened", None),
        Kind::TabNotAllowed | Kind::TabInBlockIndentation | Kind::TabInIndentation | Kind::TabAtBlockScalarStart => {
            ("a tab where YAML wants spaces", Some("indent with spaces"))
        }
        Kind::TabInPlainScalar => ("a tab inside a value without quotes", Some("put the value in quotes")),
        Kind::InvalidIndentation
        | Kind::InvalidBlockScalarIndent
        | Kind::InvalidFlowScalarIndent
        | Kind::ExpectedBlockMappingKey
        | Kind::ExpectedBlockSequenceEntry
        | Kind::UnexpectedEofBlockMapping
        | Kind::UnexpectedEofBlockSequence => ("the indentation fits nothing above", None),
        Kind::MappingValueNotAllowed | Kind::InvalidColonPlacement | Kind::MappingKeyNotAllowed => {
            ("a colon where no key can be", Some("a value that holds `: ` needs quotes"))
        }
        Kind::SimpleKeyExpected | Kind::InvalidSimpleKey => {
            ("a key without its colon", Some("a field is written `name: value`, with a space behind the colon"))
        }
        Kind::BlockSequenceEntryNotAllowed | Kind::BlockEntryInFlowCollection => {
            ("a list entry `- ` where none can be", None)
        }
        Kind::InvalidTrailingSingleQuotedScalar | Kind::InvalidTrailingDoubleQuotedScalar => {
            ("text behind a closing quote", None)
        }
        Kind::UnknownQuotedScalarEscape
        | Kind::InvalidQuotedScalarHexEscape
        | Kind::InvalidLowSurrogateHexEscape
        | Kind::InvalidLowSurrogate
        | Kind::MissingLowSurrogate
        | Kind::UnpairedLowSurrogate
        | Kind::InvalidUnicodeEscape => ("an unknown escape behind `\\`", Some("in single quotes `\\` means itself")),
        Kind::CommentNotSeparated | Kind::CommentInterceptedScalar => {
            ("a comment where none can be", Some("`#` needs a space in front; a value that holds it needs quotes"))
        }
        Kind::UndeclaredTagHandle
        | Kind::ExpectedTagBang
        | Kind::ExpectedTagDirectiveBang
        | Kind::InvalidGlobalTagCharacter
        | Kind::InvalidTagTerminator
        | Kind::MissingTagUri
        | Kind::UnclosedVerbatimTag
        | Kind::InvalidTagEscape
        | Kind::InvalidTagUtf8LeadingByte
        | Kind::InvalidTagUtf8TrailingByte
        | Kind::InvalidTagUtf8 => ("tags are not allowed", Some("a value that begins with `!` needs quotes")),
        Kind::MissingAnchorOrAliasName => {
            ("an anchor or alias without a name", Some("a value that begins with `&` or `*` needs quotes"))
        }
        Kind::DuplicateVersionDirective
        | Kind::UnsupportedYamlMajorVersion
        | Kind::DuplicateTagDirective
        | Kind::MissingDocumentEndBeforeDirective
        | Kind::InvalidDirectiveTerminator
        | Kind::MissingYamlVersionSeparator
        | Kind::MissingDirectiveName
        | Kind::InvalidDirectiveName
        | Kind::DirectiveByteLimitExceeded { .. }
        | Kind::TooManyReservedDirectiveParams { .. }
        | Kind::YamlVersionTooLong
        | Kind::MissingYamlVersion
        | Kind::InvalidTagDirectiveTerminator => {
            ("a directive that cannot be read", Some("none is needed: drop the line"))
        }
        Kind::ZeroBlockScalarIndent | Kind::InvalidBlockScalarHeader => {
            ("a block that begins with `|` or `>` is followed by text", Some("the text begins on the next line"))
        }
        Kind::BomInsideDocument => ("a byte order mark inside the file", None),
        Kind::ExpectedDocumentStart | Kind::InvalidDocumentEnd | Kind::DocumentIndicatorInQuotedScalar => {
            ("text outside the document", Some("a file holds one document"))
        }
        _ => ("this is not YAML", None),
    };
    Problem { message: message.to_owned(), note }
}
