//! `git pggit`: the command line is in [`pggit::cli`].

fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
