//! What is asked of a creation before the state is looked at: SR-1 to SR-7.

use std::collections::BTreeMap;

use openshell_proto::v1::{
    CreateSandboxRequest, GpuResourceRequirements, ResourceRequirements, SandboxSpec, SandboxTemplate,
};
use openshell_state::{Code, Decision};

use super::code;
use crate::support::{World, map, sandbox, says, user};

fn with_spec(change: impl FnOnce(&mut SandboxSpec)) -> CreateSandboxRequest {
    let mut request = sandbox("s", &[], None);
    change(request.spec.as_mut().expect("a spec"));
    request
}

fn with_template(change: impl FnOnce(&mut SandboxTemplate)) -> CreateSandboxRequest {
    let mut template = SandboxTemplate::default();
    change(&mut template);
    with_spec(|spec| spec.template = Some(template))
}

#[test]
fn sr_1_a_spec_is_asked_for_before_anything_else() {
    let world = World::new();
    let bare = CreateSandboxRequest { name: "Not A Name".to_owned(), ..CreateSandboxRequest::default() };
    assert_eq!(code(&world, &user("eve", false), &bare), Some(Code::InvalidArgument));
    match world.decide(&bare) {
        Decision::Refuse(refusal) => says(&refusal.message, &["spec is required"]),
        other => panic!("{other:?}"),
    }
}

#[test]
fn sr_2_without_a_command_there_is_a_shell_on_a_terminal() {
    let mut world = World::new();
    for (command, tty, stored) in [
        (vec![], false, (vec!["/bin/bash", "-l"], true)),
        (vec!["run"], false, (vec!["run"], false)),
        (vec!["run"], true, (vec!["run"], true)),
    ] {
        let command = command.into_iter().map(str::to_owned).collect();
        let request =
            CreateSandboxRequest { name: String::new(), ..with_spec(|spec| (spec.command, spec.tty) = (command, tty)) };
        let spec = world.ok(&request).sandbox.expect("a sandbox").spec.expect("a spec");
        assert_eq!((spec.command.iter().map(String::as_str).collect::<Vec<_>>(), spec.tty), stored);
    }
}

#[test]
fn sr_3_and_4_names_can_be_part_of_a_host_name_and_may_be_digits() {
    let mut world = World::new();
    for name in ["a", "a-b-c", "1", "0123456789", &"n".repeat(19)] {
        world.ok(&sandbox(name, &[], None));
    }
    for name in ["A", "a_b", "a.b", "-", "-a", "a-", "a--b", "ä", " a", "a\n", &"n".repeat(20)] {
        world.refused(Code::InvalidArgument, &sandbox(name, &[], None));
    }
}

#[test]
fn sr_5_the_environment_is_small_and_well_formed() {
    let mut world = World::new();
    let many = |count: usize| (0..count).map(|at| (format!("K{at}"), String::new())).collect::<BTreeMap<_, _>>();
    let large = |bytes: usize| map(&[("A", &"v".repeat(bytes))]);
    // 33 values of at most 8,192 bytes, and one byte a key.
    let total: BTreeMap<_, _> = (0..33).map(|at| (format!("K{at:02}"), "v".repeat(8000))).collect();
    let wrong = [
        (many(129), "129"),
        (map(&[(&*"k".repeat(257), "")]), "257"),
        (large(8193), "8193"),
        (total, "262144"),
        (map(&[("", "")]), "environment variable"),
        (map(&[("1A", "")]), "environment variable"),
        (map(&[("A-B", "")]), "environment variable"),
        (map(&[("Ä", "")]), "environment variable"),
        (map(&[("OPENSHELL_", "")]), "OPENSHELL_"),
        (map(&[("A", "a\rb")]), "line break"),
        (map(&[("A", "a\nb")]), "line break"),
        (map(&[("A", "a\0b")]), "line break"),
    ];
    for (environment, words) in wrong {
        let text = world.refused(Code::InvalidArgument, &with_spec(|spec| spec.environment = environment.clone()));
        says(&text, &["spec.environment", words]);
        let text = world.refused(Code::InvalidArgument, &with_template(|template| template.environment = environment));
        says(&text, &["spec.template.environment", words]);
    }
    let mut right = many(126);
    right.extend(map(&[("_a1", &*"v".repeat(8192)), ("OPENSHELLX", "tab\tis fine")]));
    world.ok(&with_spec(|spec| spec.environment = right));
}

#[test]
fn sr_5_what_a_template_holds_is_bounded() {
    let mut world = World::new();
    let value =
        |bytes: usize| prost_types::Value { kind: Some(prost_types::value::Kind::StringValue("v".repeat(bytes))) };
    let large = |bytes| prost_types::Struct { fields: [("a".to_owned(), value(bytes))].into() };
    let many: BTreeMap<_, _> = (0..129).map(|at| (format!("k{at}"), String::new())).collect();
    let text = |length: usize| "t".repeat(length);
    let wrong = [
        (with_template(|template| template.image = text(1025)), "spec.template.image"),
        (with_template(|template| template.runtime_class_name = text(1025)), "spec.template.runtime_class_name"),
        (with_template(|template| template.agent_socket = text(1025)), "spec.template.agent_socket"),
        (with_template(|template| template.labels = many.clone()), "spec.template.labels"),
        (with_template(|template| template.annotations = many), "spec.template.annotations"),
        (with_template(|template| template.labels = map(&[(&text(257), "")])), "spec.template.labels"),
        (with_template(|template| template.annotations = map(&[("a", &text(8193))])), "spec.template.annotations"),
        (with_template(|template| template.resources = Some(large(65_536))), "spec.template.resources"),
        (with_template(|template| template.driver_config = Some(large(65_536))), "spec.template.driver_config"),
    ];
    for (request, field) in wrong {
        says(&world.refused(Code::InvalidArgument, &request), &[field]);
    }
    world.ok(&with_template(|template| {
        template.image = text(1024);
        template.labels = map(&[("Not a label key!", &text(8192))]);
        template.resources = Some(large(65_000));
    }));
}

#[test]
fn sr_5_the_command_the_log_level_and_the_gpus_are_bounded() {
    let mut world = World::new();
    let command = |arguments: Vec<String>| with_spec(|spec| spec.command = arguments);
    let gpu = |count| {
        let resources = ResourceRequirements { gpu: Some(GpuResourceRequirements { count }) };
        with_spec(|spec| spec.resource_requirements = Some(resources))
    };
    let wrong = [
        (with_spec(|spec| spec.log_level = "l".repeat(33)), "spec.log_level"),
        (command(vec![String::new()]), "spec.command[0]"),
        (command(vec!["a".to_owned(); 257]), "257"),
        (command(vec!["a".repeat(32_769)]), "spec.command[0]"),
        (command(vec!["a".repeat(32_768); 9]), "262144"),
        (command(vec!["a".to_owned(), "b\0".to_owned()]), "spec.command[1]"),
        (gpu(Some(0)), "gpu.count"),
    ];
    for (request, words) in wrong {
        says(&world.refused(Code::InvalidArgument, &request), &[words]);
    }
    let lines = vec!["sh".to_owned(), "-c".to_owned(), "two\nlines".to_owned(), String::new()];
    world.ok(&CreateSandboxRequest { name: "lines".to_owned(), ..command(lines) });
    world.ok(&CreateSandboxRequest { name: "longest".to_owned(), ..command(vec!["a".repeat(32_768); 8]) });
    world.ok(&CreateSandboxRequest { name: "gpu".to_owned(), ..gpu(None) });
}

#[test]
fn sr_6_labels_have_a_shape() {
    let mut world = World::new();
    let labelled = |key: &str, value: &str| CreateSandboxRequest {
        labels: map(&[(key, value)]),
        name: String::new(),
        ..sandbox("", &[], None)
    };
    for (key, value) in [
        ("a", ""),
        ("A1._-b", "v"),
        ("example.com/a", "A.b_c-1"),
        ("a-b.c/x", &*"v".repeat(63)),
        (&*"k".repeat(63), "v"),
        ("ä", "ö"),
        (&format!("{}/a", "p".repeat(251)), "v"),
    ] {
        world.ok(&labelled(key, value));
    }
    let endless = format!("{}/a", "p".repeat(252));
    for key in [
        "",
        "/a",
        "a/",
        "A/b",
        "-a/b",
        "a-/b",
        ".a/b",
        "a./b",
        "a..b/c",
        "a/b/c",
        "-a",
        "a-",
        "a b",
        &*"k".repeat(64),
        &*endless,
    ] {
        world.refused(Code::InvalidArgument, &labelled(key, "v"));
    }
    for value in ["-a", "a-", "a b", "a/b", &*"v".repeat(64)] {
        world.refused(Code::InvalidArgument, &labelled("a", value));
    }
}

#[test]
fn sr_7_annotations_are_few_and_free_in_their_text() {
    let mut world = World::new();
    let annotated = |annotations| CreateSandboxRequest { annotations, ..sandbox("", &[], None) };
    let many = |count: usize| (0..count).map(|at| (format!("a{at}"), String::new())).collect();
    world.ok(&annotated(many(128)));
    world.ok(&annotated(map(&[("example.com/a", &*format!(" {}\n", "ä".repeat(4095)))])));
    for wrong in [many(129), map(&[("not a key", "")]), map(&[("a", &"v".repeat(8193))]), map(&[("", "v")])] {
        world.refused(Code::InvalidArgument, &annotated(wrong));
    }
}
