//! `git pggit`: the command line is in [`pggit::cli`].

/// Chunks come and go by the hundred thousand, and are large enough for the
/// system's allocator to give each back to the kernel: half of the time of a
/// backup was spent on getting the same memory again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    if let Some(failed) = pggit::process::become_tool(std::env::args_os()) {
        return failed;
    }
    pggit::cli::run(std::env::args_os())
}
