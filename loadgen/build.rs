//! Passes the profile this binary is built with to the program, which prints it beside every figure.

fn main() {
    for (name, cargo_name) in [("LOADGEN_PROFILE", "PROFILE"), ("LOADGEN_OPT_LEVEL", "OPT_LEVEL")] {
        let value = std::env::var(cargo_name).unwrap_or_else(|_| "unknown".to_owned());
        println!("cargo:rustc-env={name}={value}");
    }
    println!("cargo:rerun-if-changed=build.rs");
}
