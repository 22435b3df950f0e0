//! What a copy is, field by field. `tests/checkpoint_kubelet.rs` shows that kubelet accepts each.

use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use serde_json::{Value, json};

use super::{Copy, Note, Sources, Unfit, make, needs};
use crate::checkpoint::{Id, Role, parent};

fn sources() -> Sources {
    let secret: Secret = serde_json::from_value(json!({"data": {
        "user": "cm9vdA==", "password": "cGEkKHgpIWQk", "binary": "/w==",
    }}))
    .unwrap();
    let map: ConfigMap = serde_json::from_value(
        json!({"data": {"a.conf": "A", "run.sh": "#!"}, "binaryData": {"bin": "/w=="}}),
    )
    .unwrap();
    Sources { secrets: [("s".into(), secret)].into(), config_maps: [("c".into(), map)].into() }
}

pub(super) fn pod(spec: Value) -> Pod {
    serde_json::from_value(json!({
        "metadata": {
            "name": "web-x7z2k", "namespace": "prod", "uid": "1-2-3", "labels": {"app": "web"},
            "annotations": {"checkpointer.alpha.coreos.com/checkpoint": "true", "note": "a \"b\""},
            "ownerReferences": [
                {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "web", "uid": "u", "controller": true},
            ],
        },
        "spec": spec,
        "status": {"phase": "Running"},
    }))
    .unwrap()
}

pub(super) fn copy_with(role: Role, pod: &Pod) -> Result<Copy, Unfit> {
    make(pod, &Id::new("prod", "web"), role, &sources(), "/secrets/prod/web")
}

fn copy(spec: Value) -> Copy {
    copy_with(Role::Exclusive, &pod(spec)).unwrap()
}

pub(super) fn spec(copy: &Copy) -> Value {
    serde_json::to_value(copy.pod.spec.as_ref()).unwrap()
}

/// A pod of one root container with `volume`, mounted.
fn with_volume(source: Value) -> Value {
    let mut volume = source;
    volume["name"] = json!("v");
    json!({
        "securityContext": {"runAsUser": 0},
        "containers": [{"name": "a", "image": "i", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}],
        "volumes": [volume],
    })
}

/// Path, mode and text of every file of a copy.
fn files(copy: &Copy) -> Vec<(String, u32, String)> {
    let all = copy.folders.values().flat_map(|folder| &folder.files);
    all.map(|(path, file)| (path.clone(), file.mode, String::from_utf8_lossy(&file.bytes).into_owned()))
        .collect()
}

fn file(path: &str, mode: u32, text: &str) -> (String, u32, String) {
    (path.to_owned(), mode, text.to_owned())
}

#[test]
fn what_only_an_api_knows_is_gone_and_the_rest_stays() {
    let copy = copy(json!({
        "containers": [{"name": "a", "image": "i", "imagePullPolicy": "Always", "ports": [{"containerPort": 80}]}],
        "nodeName": "n1", "nodeSelector": {"a": "b"}, "affinity": {"nodeAffinity": {}}, "schedulerName": "x",
        "serviceAccountName": "web", "serviceAccount": "web", "imagePullSecrets": [{"name": "pull"}],
        "readinessGates": [{"conditionType": "x"}], "topologySpreadConstraints": [], "priority": 1000,
        "hostname": "h", "tolerations": [{"operator": "Exists"}], "terminationGracePeriodSeconds": 7,
    }));
    let expected = json!({
        "automountServiceAccountToken": false,
        "containers": [{"name": "a", "image": "i", "imagePullPolicy": "IfNotPresent", "ports": [{"containerPort": 80}]}],
        "hostname": "h", "priority": 1000, "terminationGracePeriodSeconds": 7, "tolerations": [{"operator": "Exists"}],
    });
    assert_eq!(spec(&copy), expected);
    assert_eq!(copy.notes, [Note::NoPullSecrets]);
    let metadata = serde_json::to_value(&copy.pod.metadata).unwrap();
    let revision = copy.revision.to_string();
    assert_eq!(
        metadata,
        json!({
            "name": "web-x7z2k", "namespace": "prod", "labels": {"app": "web", "bootkube.dev/copy": "true"},
            "annotations": {
                "checkpointer.alpha.coreos.com/checkpoint-of": "web-x7z2k",
                "bootkube.dev/checkpoint-workload": "web", "bootkube.dev/checkpoint-revision": revision,
            },
        })
    );
    assert!(copy.pod.status.is_none() && parent::is_copy(&copy.pod));
}

#[test]
fn files_of_a_root_container_are_0600_root_in_a_folder_named_by_the_revision() {
    let copy = copy(with_volume(json!({"secret": {"secretName": "s", "defaultMode": 420}})));
    assert_eq!(
        files(&copy).iter().map(|(path, mode, _)| (path.as_str(), *mode)).collect::<Vec<_>>(),
        [("binary", 0o600), ("password", 0o600), ("user", 0o600)]
    );
    assert_eq!((copy.folders["v"].owner, copy.folders["v"].mode), ((0, 0), 0o700));
    let path = format!("/secrets/prod/web/{}/v", copy.revision);
    assert_eq!(
        spec(&copy)["volumes"],
        json!([{"name": "v", "hostPath": {"path": path, "type": "Directory"}}])
    );
    assert_eq!(spec(&copy)["containers"][0]["volumeMounts"][0]["readOnly"], true);
}

#[test]
fn items_choose_rename_and_set_modes_and_executables_stay_so() {
    let items = json!([{"key": "run.sh", "path": "bin/run", "mode": 320}, {"key": "a.conf", "path": "x"}]);
    let made = copy(with_volume(json!({"configMap": {"name": "c", "items": items}})));
    assert_eq!(files(&made), [file("bin/run", 0o700, "#!"), file("x", 0o600, "A")]);
    let made = copy(with_volume(json!({"configMap": {"name": "c", "defaultMode": 493}})));
    assert_eq!(
        files(&made).iter().map(|(path, mode, _)| (path.as_str(), *mode)).collect::<Vec<_>>(),
        [("a.conf", 0o700), ("bin", 0o700), ("run.sh", 0o700)]
    );
}

#[test]
fn files_belong_to_the_one_user_that_reads_them_and_else_are_as_the_pod_asks() {
    let volume =
        json!({"secret": {"secretName": "s", "items": [{"key": "user", "path": "u"}], "defaultMode": 416}});
    let access = |change: &dyn Fn(&mut Value)| {
        let mut spec = with_volume(volume.clone());
        change(&mut spec);
        let copy = copy(spec);
        let folder = &copy.folders["v"];
        (folder.owner, folder.mode, folder.files["u"].mode, copy.notes.len())
    };
    let second = json!({"name": "b", "image": "i", "volumeMounts": [{"name": "v", "mountPath": "/v"}]});
    assert_eq!(access(&|_| {}), ((0, 0), 0o700, 0o600, 0));
    assert_eq!(
        access(&|spec| spec["securityContext"]["runAsUser"] = json!(65534)),
        ((65534, 65534), 0o700, 0o600, 0)
    );
    let own = |spec: &mut Value| spec["containers"][0]["securityContext"] = json!({"runAsUser": 7});
    assert_eq!(access(&own), ((7, 7), 0o700, 0o600, 0));
    // Two users, the group that the pod gives both, and then none.
    let two = |spec: &mut Value| {
        own(spec);
        spec["containers"].as_array_mut().unwrap().push(second.clone());
    };
    assert_eq!(access(&two), ((0, 0), 0o755, 0o640, 1));
    let grouped = |spec: &mut Value| {
        two(spec);
        spec["securityContext"]["fsGroup"] = json!(2000);
    };
    assert_eq!(access(&grouped), ((0, 2000), 0o755, 0o640, 1));
    // The image's user, which the runtime does not report.
    assert_eq!(access(&|spec| drop(spec["securityContext"].take())), ((0, 0), 0o755, 0o640, 1));
}

#[test]
fn the_user_that_the_runtime_reports_counts_where_the_pod_names_none() {
    let mut spec = with_volume(json!({"secret": {"secretName": "s"}}));
    spec["securityContext"].take();
    let mut pod = pod(spec);
    pod.status = serde_json::from_value(json!({"containerStatuses": [{
        "name": "a", "image": "i", "imageID": "", "ready": true, "restartCount": 0,
        "user": {"linux": {"uid": 101, "gid": 101}},
    }]}))
    .unwrap();
    let copy = copy_with(Role::Exclusive, &pod).unwrap();
    assert_eq!(copy.folders["v"].owner, (101, 101));
}

#[test]
fn projected_sources_become_one_folder() {
    let copy = copy(with_volume(json!({"projected": {"defaultMode": 256, "sources": [
        {"secret": {"name": "s", "items": [{"key": "user", "path": "user"}]}},
        {"configMap": {"name": "c", "items": [{"key": "a.conf", "path": "conf/a"}]}},
        {"secret": {"name": "absent", "optional": true}},
        {"clusterTrustBundle": {"name": "b", "path": "b", "optional": true}},
        {"downwardAPI": {"items": [
            {"path": "name", "fieldRef": {"fieldPath": "metadata.name"}},
            {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
            {"path": "label", "fieldRef": {"fieldPath": "metadata.labels['app']"}},
            {"path": "note", "fieldRef": {"fieldPath": "metadata.annotations['note']"}},
            {"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}},
        ]}},
    ]}})));
    let expected = [
        file("conf/a", 0o600, "A"),
        file("label", 0o600, "web"),
        file("labels", 0o600, "app=\"web\""),
        file("name", 0o600, "web-x7z2k"),
        file("namespace", 0o600, "prod"),
        file("note", 0o600, "a \"b\""),
        file("user", 0o600, "root"),
    ];
    assert_eq!(files(&copy), expected);
}

#[test]
fn what_kubelet_fills_by_itself_stays_a_volume() {
    let downward = json!({"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]});
    for source in [
        json!({"downwardAPI": downward}),
        json!({"projected": {"sources": [{"downwardAPI": downward}]}}),
        json!({"emptyDir": {"medium": "Memory"}}),
        json!({"hostPath": {"path": "/x"}}),
        json!({"nfs": {"server": "s", "path": "/"}}),
        json!({"image": {"reference": "i"}}),
    ] {
        let copy = copy(with_volume(source.clone()));
        let mut expected = source;
        expected["name"] = json!("v");
        assert_eq!(spec(&copy)["volumes"], json!([expected]));
        assert!(copy.folders.is_empty());
    }
}

#[test]
fn the_token_that_is_mounted_unasked_goes_with_its_mounts() {
    let copy = copy(json!({
        "containers": [{"name": "a", "image": "i", "volumeMounts": [{"name": "kube-api-access-q7x2l", "mountPath": "/t"}]}],
        "volumes": [{"name": "kube-api-access-q7x2l", "projected": {"sources": [
            {"serviceAccountToken": {"path": "token"}}, {"configMap": {"name": "kube-root-ca.crt"}},
        ]}}],
    }));
    assert_eq!(copy.notes, [Note::NoToken]);
    assert!(spec(&copy).get("volumes").is_none() && copy.folders.is_empty());
    assert_eq!(spec(&copy)["containers"][0]["volumeMounts"], json!([]));
}

#[test]
fn the_environment_is_literal_and_never_expanded_twice() {
    let copy = copy(json!({"containers": [{"name": "a", "image": "i",
        "envFrom": [
            {"configMapRef": {"name": "c"}, "prefix": "C_"},
            {"secretRef": {"name": "absent", "optional": true}},
        ],
        "env": [
            {"name": "PLAIN", "value": "$(C_a.conf)"},
            {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "s", "key": "password"}}},
            {"name": "NONE", "valueFrom": {"secretKeyRef": {"name": "s", "key": "absent", "optional": true}}},
            {"name": "CONF", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "a.conf"}}},
            {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "NOTE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.annotations['note']"}}},
            {"name": "HOST", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}},
            {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
        ],
    }]}));
    let expected = json!([
        {"name": "C_a.conf", "value": "A"},
        {"name": "C_run.sh", "value": "#!"},
        {"name": "PLAIN", "value": "$(C_a.conf)"},
        {"name": "PASSWORD", "value": "pa$$(x)!d$$"},
        {"name": "CONF", "value": "A"},
        {"name": "NAME", "value": "web-x7z2k"},
        {"name": "NOTE", "value": "a \"b\""},
        {"name": "HOST", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}},
        {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
    ]);
    assert_eq!(spec(&copy)["containers"][0]["env"], expected);
    assert!(spec(&copy)["containers"][0].get("envFrom").is_none());
    let leak = |secret: &str| Note::SecretInEnvironment { secret: secret.into(), container: "a".into() };
    assert_eq!(copy.notes, [leak("s")]);
}

#[test]
fn what_cannot_be_static_is_refused_with_every_reason() {
    let volume = |name: &str, source: Value| {
        let mut volume = source;
        volume["name"] = json!(name);
        volume
    };
    let spec = json!({
        "runtimeClassName": "gvisor",
        "resourceClaims": [{"name": "gpu"}],
        "containers": [{"name": "a", "image": "i",
            "envFrom": [{"secretRef": {"name": "absent"}}],
            "env": [
                {"name": "X", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "absent"}}},
                {"name": "Y", "valueFrom": {"secretKeyRef": {"name": "s", "key": "binary"}}},
            ],
            "volumeDevices": [{"name": "claim", "devicePath": "/dev/x"}],
        }],
        "volumes": [
            volume("claim", json!({"persistentVolumeClaim": {"claimName": "c"}})),
            volume("csi", json!({"csi": {"driver": "d"}})),
            volume("token", json!({"projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}})),
            volume("bundle", json!({"projected": {"sources": [{"clusterTrustBundle": {"name": "b", "path": "b"}}]}})),
            volume("gone", json!({"secret": {"secretName": "absent"}})),
            volume("keyless", json!({"secret": {"secretName": "s", "items": [{"key": "absent", "path": "x"}]}})),
            volume("climbs", json!({"secret": {"secretName": "s", "items": [{"key": "user", "path": "../x"}]}})),
            volume("mixed", json!({"downwardAPI": {"items": [
                {"path": "name", "fieldRef": {"fieldPath": "metadata.name"}},
                {"path": "cpu", "resourceFieldRef": {"resource": "limits.cpu", "containerName": "a"}},
            ]}})),
        ],
    });
    let unfit = copy_with(Role::Exclusive, &pod(spec)).unwrap_err();
    let expected = [
        "kubelet asks the API for runtime class `gvisor`",
        "resource claim `gpu` is the API's",
        "container `a` uses block device `claim` of a claim",
        "container `a` takes its environment from `absent`, which does not exist",
        "variable `X` of container `a` takes `absent` of `c`, which does not exist",
        "variable `Y` of container `a` is not text",
        "volume `claim` (persistentVolumeClaim) needs the API",
        "volume `csi` (csi) needs the API",
        "volume `token`: a service account token is issued by the API, and expires; give the pod a client certificate",
        "volume `bundle`: a cluster trust bundle is the API's; use a ConfigMap",
        "volume `gone`: Secret `absent` does not exist",
        "volume `keyless`: Secret `s` has no `absent`",
        "volume `climbs`: `../x` is not a path below the volume",
        "volume `mixed`: `cpu` is computed by kubelet and cannot stand in one volume with what the API knows",
    ];
    assert_eq!(unfit.problems, expected);
    assert!(unfit.to_string().starts_with("pod web-x7z2k of prod/web cannot be kept: kubelet asks"));
}

#[test]
fn pods_of_one_template_have_one_revision_and_a_changed_file_another() {
    let spec = with_volume(json!({"secret": {"secretName": "s"}}));
    let one = pod(spec);
    let mut two = one.clone();
    two.metadata.name = Some("web-other".to_owned());
    two.metadata.uid = Some("4".to_owned());
    let revision = |pod: &Pod| copy_with(Role::Exclusive, pod).unwrap().revision;
    assert_eq!(revision(&one), revision(&two));
    two.spec.as_mut().unwrap().containers[0].image = Some("other".to_owned());
    assert_ne!(revision(&one), revision(&two));
    let mut changed = sources();
    changed.secrets.get_mut("s").unwrap().data.as_mut().unwrap().clear();
    let emptied = make(&one, &Id::new("prod", "web"), Role::Exclusive, &changed, "/x").unwrap();
    assert_ne!(revision(&one), emptied.revision);
}

#[test]
fn only_what_a_copy_needs_is_asked_for() {
    let pod = pod(json!({
        "imagePullSecrets": [{"name": "pull"}],
        "containers": [{"name": "a", "envFrom": [{"secretRef": {"name": "e1"}}, {"configMapRef": {"name": "e2"}}]}],
        "initContainers": [{"name": "b", "env": [
            {"name": "x", "valueFrom": {"secretKeyRef": {"name": "e3", "key": "k"}}},
            {"name": "y", "valueFrom": {"configMapKeyRef": {"name": "e4", "key": "k"}}},
        ]}],
        "volumes": [
            {"name": "s", "secret": {"secretName": "v1"}},
            {"name": "c", "configMap": {"name": "v2"}},
            {"name": "p", "projected": {"sources": [{"secret": {"name": "v3"}}, {"configMap": {"name": "v4"}}]}},
            {"name": "kube-api-access-x", "projected": {"sources": [
                {"serviceAccountToken": {"path": "t"}}, {"configMap": {"name": "kube-root-ca.crt"}},
            ]}},
        ],
    }));
    let needs = needs(&pod);
    assert!(needs.secrets.iter().eq(["e1", "e3", "v1", "v3"]));
    assert!(needs.config_maps.iter().eq(["e2", "e4", "v2", "v4"]));
}

#[test]
fn nothing_secret_is_in_debug_output() {
    let mut spec = with_volume(json!({"secret": {"secretName": "s"}}));
    spec["containers"][0]["env"] =
        json!([{"name": "X", "valueFrom": {"secretKeyRef": {"name": "s", "key": "user"}}}]);
    let copy = copy(spec);
    let shown = format!("{copy:?} {:?}", copy.folders);
    assert!(!shown.contains("root") && !shown.contains("114, 111"), "{shown}");
}
