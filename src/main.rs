//! `git pggit`: the command line is in [`pggit::cli`].

fn main() -> std::process::ExitCode {
    pggit::cli::run(std::env::args_os())
}
