//! Scenarios 17 and 79: what needs no gateway.

use openshell_tests::CommandLine;

#[tokio::test]
async fn cli_scenario_17_insecure_is_true_or_false() {
    let person = CommandLine::new();
    for value in ["1", "yes", ""] {
        let refused = person.run_with(&[("OPENSHELL_GATEWAY_INSECURE", value)], &["status"]).await;
        assert_eq!((refused.code, refused.stdout.as_str()), (Some(2), ""), "{value:?}: {refused:?}");
    }
    for value in ["true", "false"] {
        person.run_with(&[("OPENSHELL_GATEWAY_INSECURE", value)], &["status"]).await.success();
    }
}

#[tokio::test]
async fn cli_scenario_79_completions_are_a_script_for_openshell_and_need_no_gateway() {
    let person = CommandLine::new();
    for shell in ["bash", "fish", "zsh", "powershell"] {
        let script = person.run_with(&[], &["completions", shell]).await;
        assert!(script.success().contains("openshell"), "{shell}: {script:?}");
        assert_eq!(script.stderr, "", "{shell}");
    }
    assert_eq!(person.run_with(&[], &["completions", "nosuch"]).await.code, Some(2));
}
