//! From what was typed to the command that does it.

use clap::CommandFactory as _;

use super::session::Session;
use crate::ci::Env;
use crate::cli::{Cli, Command, SchemaDocument};
use crate::error::{Error, ErrorKind, Result};
use crate::process::Interrupt;

/// Runs the command and says what failed. Gives the exit code.
pub fn run(cli: &Cli) -> std::process::ExitCode {
    // Variables that are not UTF-8 name nothing that hephy reads.
    let env: Env = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let outcome = Session::new(&cli.global, env).map(|session| {
        let result = command(&session, cli);
        if let Err(error) = &result {
            session.report.error(error);
        }
        result
    });
    match outcome {
        Ok(Ok(())) => std::process::ExitCode::SUCCESS,
        Ok(Err(error)) => error.kind().exit_code().into(),
        Err(error) => {
            let report = crate::report::Report::new(&cli.global, true, crate::report::Groups::None);
            report.error(&error);
            error.kind().exit_code().into()
        }
    }
}

/// Says why what was typed cannot be understood, or shows the help that was asked for. Nothing was parsed, so the
/// words themselves are searched for the form of stdout.
pub fn refuse(refused: &clap::Error, words: impl Iterator<Item = std::ffi::OsString>) -> std::process::ExitCode {
    // There is nobody left to tell when neither stream can be written.
    let _ = refused.print();
    if !refused.use_stderr() {
        return std::process::ExitCode::SUCCESS;
    }
    let words: Vec<std::ffi::OsString> = words.collect();
    let json = words.iter().any(|word| word == "--format=json")
        || words.windows(2).any(|pair| pair[0] == "--format" && pair[1] == "json");
    if json {
        let said = refused.to_string();
        let first = said.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
        let error = Error::usage(first).hint("hephy --help shows what can be typed");
        let _ = crate::report::document(&serde_json::json!({ "error": error }));
    }
    ErrorKind::UsageError.exit_code().into()
}

fn command(session: &Session, cli: &Cli) -> Result<()> {
    match &cli.command {
        Command::Plan(args) => super::plan::run(session, args),
        Command::Graph(args) => super::graph::run(session, args),
        Command::Schema(args) => schema(session, args.document),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "hephy", &mut script);
            session.report.text(&String::from_utf8_lossy(&script))
        }
        Command::Man => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command())
                .render(&mut page)
                .map_err(|error| Error::internal("the manual page could not be made").cause(error))?;
            session.report.text(&String::from_utf8_lossy(&page))
        }
        Command::Prepare(args) => super::prepare::run(session, args),
        Command::Build(args) => super::build::command::command(session, args, &Interrupt::install()?),
        Command::Manifest(args) => super::manifest::command::command(session, args),
        Command::Run(args) => super::run::run(session, args, &Interrupt::install()?),
        Command::Check(args) => check(session, &args.paths),
    }
}

fn check(session: &Session, paths: &[std::path::PathBuf]) -> Result<()> {
    let root = crate::git::Repository::open(&session.dir).ok().and_then(|it| it.root().map(std::path::Path::to_owned));
    let root = root.unwrap_or_else(|| session.dir.clone());
    let paths: Vec<std::path::PathBuf> = paths.iter().map(|path| session.dir.join(path)).collect();
    let transports = crate::config::extra_transports(session.env.get("GIT_ALLOW_PROTOCOL").map(String::as_str));
    let report = super::check::run(&root, &paths, &transports)?;
    session.report.text(&report.render())?;
    match super::check::failure(&report) {
        None => session.report.json(&report),
        Some(error) => {
            session.report.json(&report)?;
            Err(error)
        }
    }
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
