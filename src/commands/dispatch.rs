//! From what was typed to the command that does it.

use std::io::Write as _;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _};

use super::session::Session;
use crate::ci::{self, Env};
use crate::cli::{Cli, Command, SchemaDocument};
use crate::error::{Error, ErrorKind, Result};
use crate::process::Interrupt;

/// Parses what was typed, runs the command and says what failed. Gives the exit code.
#[must_use]
pub fn main() -> ExitCode {
    guarded(|| match parse(&environment()) {
        Ok(cli) => run(&cli),
        Err(error) => usage(&error, &std::env::args_os().collect::<Vec<_>>()),
    })
}

/// Parses what was typed. A variable that stands for a flag counts when it is set and not empty, and an input of a CI
/// template counts before it.
fn parse(env: &Env) -> std::result::Result<Cli, clap::Error> {
    let matches = of_environment(Cli::command(), env).try_get_matches()?;
    Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut Cli::command()))
}

fn of_environment(command: clap::Command, env: &Env) -> clap::Command {
    let command = command.mut_args(|arg| {
        let Some(name) = arg.get_env().and_then(|name| name.to_str()) else { return arg };
        let value = env.get(name).filter(|value| !value.is_empty()).cloned();
        let real = std::env::var_os(name);
        match value {
            Some(value) if real.as_deref() != Some(value.as_ref()) => arg.env(None::<&str>).default_value(value),
            Some(_) => arg,
            None if real.is_some_and(|real| real.is_empty()) => arg.env(None::<&str>),
            None => arg,
        }
    });
    command.mut_subcommands(|command| of_environment(command, env))
}

/// The variable that a wrong value came from, where it was not typed.
fn variable_of(command: &clap::Command, error: &clap::Error) -> Option<String> {
    use clap::error::{ContextKind, ContextValue};
    let text = |kind| match error.get(kind)? {
        ContextValue::String(text) => Some(text.as_str()),
        _ => None,
    };
    let (arg, value) = (text(ContextKind::InvalidArg)?, text(ContextKind::InvalidValue)?);
    let of_arg = |it: &&clap::Arg| it.to_string() == arg;
    let variable = command.get_arguments().find(of_arg).and_then(clap::Arg::get_env);
    let holds = |name: &String| std::env::var_os(name).is_some_and(|it| it.to_string_lossy() == value);
    let here = variable.map(|name| name.to_string_lossy().into_owned());
    let here = here.and_then(|name| [ci::input_of(&name), name].into_iter().find(holds));
    here.or_else(|| command.get_subcommands().find_map(|command| variable_of(command, error)))
}

/// The environment, with the inputs of a CI template applied. Variables that are not UTF-8 name nothing that hephy reads.
fn environment() -> Env {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    ci::with_inputs(std::env::vars_os().filter_map(text).collect())
}

/// A panic is a bug of ours, and said so; what has to be cleaned up (credentials, builders) is cleaned up.
fn guarded(work: impl FnOnce() -> ExitCode) -> ExitCode {
    std::panic::set_hook(Box::new(|panic| {
        let env = environment();
        let text = crate::ci::output::masked(&panic.to_string(), &crate::ci::output::secrets(&env));
        let github = ci::platform(&env) == ci::Platform::Github;
        let text = crate::ci::output::harmless(&crate::diagnostic::escape(&text), github);
        let version = env!("CARGO_PKG_VERSION");
        let _ = writeln!(
            std::io::stderr().lock(),
            "error: a bug in hephy ({})\n  1: {text}\n\nhint: please report it with these lines and the command; \
             this is hephy {version}",
            ErrorKind::InternalError
        );
    }));
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work))
        .unwrap_or_else(|_| ErrorKind::InternalError.exit_code().into())
}

/// What clap says of a mistake quotes values, of variables too. Nothing was parsed, so the words themselves tell
/// whether stdout is to be a document.
fn usage(error: &clap::Error, words: &[std::ffi::OsString]) -> ExitCode {
    if !error.use_stderr() {
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let env = environment();
    let mut said = not_yet(error).unwrap_or_else(|| error.render().to_string());
    let mut command = Cli::command();
    command.build();
    if let Some(variable) = variable_of(&command, error) {
        said.push_str(&format!("\nhint: the value is that of the variable {variable}: correct it, or unset it\n"));
    }
    let text = crate::ci::output::masked(&said, &crate::ci::output::secrets(&env));
    let github = ci::platform(&env) == ci::Platform::Github;
    let _ = write!(std::io::stderr().lock(), "{}", crate::ci::output::harmless(&text, github));
    let json = words.iter().any(|word| word == "--format=json")
        || words.windows(2).any(|pair| pair[0] == "--format" && pair[1] == "json");
    if json {
        let first = text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
        let error = Error::usage(first).hint("hephy --help shows what can be typed");
        let _ = crate::report::document(&serde_json::json!({ "error": error }));
    }
    ErrorKind::UsageError.exit_code().into()
}

/// Commands and flags that are documented and follow in later versions.
const LATER: [&str; 11] = [
    "diagnose",
    "verify",
    "builds",
    "release",
    "reuse",
    "deploy",
    "rootfs",
    "shipwright",
    "--file",
    "-f",
    "--source-url",
];

/// Something that this version has not yet deserves a better answer than a word that looks like it.
fn not_yet(error: &clap::Error) -> Option<String> {
    use clap::error::{ContextKind, ContextValue};
    let kinds = [ContextKind::InvalidSubcommand, ContextKind::InvalidArg];
    let word = kinds.into_iter().find_map(|kind| match error.get(kind)? {
        ContextValue::String(word) => Some(word.as_str()),
        _ => None,
    })?;
    let unknown =
        matches!(error.kind(), clap::error::ErrorKind::InvalidSubcommand | clap::error::ErrorKind::UnknownArgument);
    (unknown && LATER.contains(&word))
        .then(|| format!("error: `{word}` is not supported yet\n\nhint: hephy --help says what this version does\n"))
}

/// Runs the command and says what failed. Gives the exit code.
pub fn run(cli: &Cli) -> ExitCode {
    let env = environment();
    let outcome = Session::new(&cli.global, env).map(|session| {
        let result = command(&session, cli);
        if let Err(error) = &result {
            let is_stage = is_stage(&cli.command);
            super::outputs::failed(&session, error, is_stage);
            session.report.error(error);
        }
        result
    });
    match outcome {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => error.kind().exit_code().into(),
        Err(error) => {
            let report = crate::report::Report::new(&cli.global, true, crate::report::Groups::None);
            report.error(&error);
            error.kind().exit_code().into()
        }
    }
}

/// Whether it is a stage of a pipeline.
fn is_stage(command: &Command) -> bool {
    matches!(command, Command::Prepare(_) | Command::Build(_) | Command::Manifest(_) | Command::Run(_))
}

fn command(session: &Session, cli: &Cli) -> Result<()> {
    let interrupt = Interrupt::install()?;
    let insecure = session.env.get("HEPHY_INSECURE_ALL").map_or("", String::as_str);
    if !matches!(insecure, "" | "true" | "1" | "false" | "0") {
        return Err(Error::usage("HEPHY_INSECURE_ALL is neither true nor false").hint("unset it, or set it to true"));
    }
    if is_stage(&cli.command) && crate::registry::insecure_all(&session.env) {
        session.report.warn("HEPHY_INSECURE_ALL: every registry may be spoken to without TLS");
    }
    match &cli.command {
        Command::Plan(args) => super::plan::run(session, args),
        Command::Graph(args) => super::graph::run(session, args),
        Command::Stale(args) => super::stale::run(session, args),
        Command::Generate(what) => super::generate::run(session, what),
        Command::Schema(args) => schema(session, args.document),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "hephy", &mut script);
            printed(session, &script)
        }
        Command::Man => {
            let page = manual().map_err(|error| Error::internal("the manual page could not be made").cause(error))?;
            printed(session, &page)
        }
        Command::Prepare(args) => super::prepare::run(session, args),
        Command::Build(args) => {
            interrupt.begin()?;
            super::build::command::command(session, args, &interrupt)
        }
        Command::Manifest(args) => super::manifest::command::command(session, args),
        Command::Run(args) => super::run::run(session, args, &interrupt),
        Command::Check(args) => check(session, args),
    }
}

/// One page for all commands: the sections of each become subsections.
fn manual() -> std::io::Result<Vec<u8>> {
    let mut whole = Cli::command();
    whole.build();
    let mut page = Vec::new();
    clap_mangen::Man::new(whole.clone()).render(&mut page)?;
    for command in whole.get_subcommands().filter(|command| command.get_name() != "help") {
        let name = command.get_name().to_owned();
        let man = clap_mangen::Man::new(command.clone());
        let mut part = Vec::new();
        man.render_synopsis_section(&mut part)?;
        man.render_description_section(&mut part)?;
        man.render_options_section(&mut part)?;
        let part = String::from_utf8_lossy(&part).replace("\n.SH ", "\n.SS ");
        let part = part.strip_prefix(".SH ").map_or_else(|| part.clone(), |rest| format!(".SS {rest}"));
        // The options of every command stand above.
        let part = part.split("\n.SS \"GLOBAL OPTIONS\"").next().unwrap_or_default();
        page.extend_from_slice(format!("\n.SH \"HEPHY {}\"\n{part}", name.to_uppercase()).as_bytes());
    }
    Ok(page)
}

/// A text that is no document of its own; in JSON mode it is the one field of one.
fn printed(session: &Session, bytes: &[u8]) -> Result<()> {
    let text = String::from_utf8_lossy(bytes);
    session.report.json(&serde_json::json!({ "text": text }))?;
    session.report.text(&text)
}

fn check(session: &Session, args: &crate::cli::CheckArgs) -> Result<()> {
    if let Some(name) = &args.explain {
        return super::check::explain(session, name);
    }
    let repository = crate::git::Repository::open(&session.dir).ok();
    let root = repository.as_ref().and_then(|it| it.root().map(std::path::Path::to_owned));
    let root = root.unwrap_or_else(|| session.dir.clone());
    let paths: Vec<std::path::PathBuf> = args.paths.iter().map(|path| session.dir.join(path)).collect();
    let transports = crate::config::Transports::of_variable(session.env.get("GIT_ALLOW_PROTOCOL").map(String::as_str));
    let mut report = super::check::run(&root, &paths, &transports)?;
    match super::planning::problems(session) {
        Ok(problems) => report = report.also(problems),
        Err(error) if repository.is_some() => {
            session.report.warn(&format!("what images refer to could not be checked: {error}"));
        }
        // Without git there is no graph.
        Err(_) => {}
    }
    session.report.text(&report.render())?;
    let found: Vec<ci::Finding> = report.findings().map(ci::Finding::of_diagnostic).collect();
    session.report.annotate(&ci::annotations(&found));
    let failure = super::check::failure(&report, args.strict);
    session.report.json(&serde_json::json!({
        "files": report.files, "errors": report.errors, "warnings": report.warnings, "infos": report.infos,
        "error": failure,
    }))?;
    failure.map_or(Ok(()), Err)
}

fn schema(session: &Session, document: SchemaDocument) -> Result<()> {
    let schema = match document {
        SchemaDocument::Config => crate::config::image_schema(),
        SchemaDocument::Root => crate::config::root_schema(),
        SchemaDocument::Plan => schemars::schema_for!(crate::plan::Plan).to_value(),
        SchemaDocument::Result => schemars::schema_for!(crate::result::BuildResult).to_value(),
        SchemaDocument::Manifest => schemars::schema_for!(super::manifest::Published).to_value(),
    };
    session.report.document(&schema)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_internal_error() {
        let code = guarded(|| std::panic::resume_unwind(Box::new("a bug")));
        let _ = std::panic::take_hook();
        assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::from(10)));
    }
}
