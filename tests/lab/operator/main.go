// A stand-in for Habitat's operator. Of each custom resource Habitat it makes a Deployment of supervisors. The
// ConfigMap peer-watch-file of a namespace holds the address of one live supervisor, by which a new one finds the
// others. The ring's key, user.toml and files come from Secrets that the custom resource names.
package main

import (
	"context"
	"fmt"
	"log"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

const (
	manager  = "habitat-operator"
	peerFile = "peer-watch-file"
	peerKey  = "peer-ip"
	// On each pod of a Habitat: which one, and the versions of what is mounted. kubelet reads a Secret again when it looks
	// at the pod, which it does at once when an annotation changes, and every minute otherwise.
	label   = "habitat.sh/name"
	sources = "habitat.sh/sources"
	// After a failure, and where news were missed.
	again = 5 * time.Second
)

var (
	habitats    = schema.GroupVersionResource{Group: "habitat.sh", Version: "v1beta1", Resource: "habitats"}
	deployments = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	configMaps  = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	secrets     = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
	pods        = schema.GroupVersionResource{Version: "v1", Resource: "pods"}
)

// A custom resource, and what it says.
type habitat struct {
	object                               *unstructured.Unstructured
	name, namespace, image, service      string
	ringSecret, configSecret, fileSecret string
	count                                int64
}

type operator struct {
	client                  dynamic.Interface
	habitats, secrets, pods cache.Store
	news                    chan struct{}
}

func main() {
	config, err := rest.InClusterConfig()
	if err != nil {
		log.Fatal(err)
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		log.Fatal(err)
	}
	o := &operator{client: client, news: make(chan struct{}, 1)}
	o.habitats, o.secrets, o.pods = o.follow(habitats, ""), o.follow(secrets, ""), o.follow(pods, label)
	for {
		select {
		case <-o.news:
		case <-time.After(again):
		}
		for _, found := range o.habitats.List() {
			h := read(found.(*unstructured.Unstructured))
			if err := o.reconcile(h); err != nil {
				log.Printf("%s/%s: %v", h.namespace, h.name, err)
			}
		}
	}
}

// follow keeps a copy of all objects of a kind, of which each change is news.
func (o *operator) follow(kind schema.GroupVersionResource, selector string) cache.Store {
	ctx, of := context.Background(), o.client.Resource(kind)
	source := &cache.ListWatch{
		ListFunc: func(options metav1.ListOptions) (runtime.Object, error) {
			options.LabelSelector = selector
			return of.List(ctx, options)
		},
		WatchFunc: func(options metav1.ListOptions) (watch.Interface, error) {
			options.LabelSelector = selector
			return of.Watch(ctx, options)
		},
	}
	informer := cache.NewSharedInformer(source, &unstructured.Unstructured{}, 0)
	changed := func() {
		select {
		case o.news <- struct{}{}:
		default: // it has not looked at the last news yet
		}
	}
	handlers := cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { changed() },
		UpdateFunc: func(any, any) { changed() },
		DeleteFunc: func(any) { changed() },
	}
	if _, err := informer.AddEventHandler(handlers); err != nil {
		log.Fatal(err)
	}
	go informer.Run(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		log.Fatal("no list of ", kind)
	}
	return informer.GetStore()
}

func read(object *unstructured.Unstructured) habitat {
	text := func(path ...string) string {
		found, _, _ := unstructured.NestedString(object.Object, append([]string{"spec"}, path...)...)
		return found
	}
	count, _, _ := unstructured.NestedInt64(object.Object, "spec", "count")
	return habitat{
		object: object, name: object.GetName(), namespace: object.GetNamespace(), count: count,
		image: text("image"), service: text("service", "name"), ringSecret: text("service", "ringSecretName"),
		configSecret: text("service", "configSecretName"), fileSecret: text("service", "filesSecretName"),
	}
}

func (o *operator) reconcile(h habitat) error {
	peers, err := o.writePeer(h)
	if err != nil {
		return err
	}
	if err := o.apply(deployments, h.namespace, h.deployment()); err != nil {
		return err
	}
	return o.tellPods(h, peers)
}

// writePeer keeps the address in the file while its pod lives. Returns the version of the ConfigMap.
func (o *operator) writePeer(h habitat) (string, error) {
	of := o.client.Resource(configMaps).Namespace(h.namespace)
	var live []string
	for _, pod := range o.instances(h.namespace, "") {
		phase, _, _ := unstructured.NestedString(pod.Object, "status", "phase")
		address, _, _ := unstructured.NestedString(pod.Object, "status", "podIP")
		if phase == "Running" && address != "" && pod.GetDeletionTimestamp() == nil {
			live = append(live, address)
		}
	}
	peer := ""
	if old, err := of.Get(context.Background(), peerFile, metav1.GetOptions{}); err == nil {
		if peer, _, _ = unstructured.NestedString(old.Object, "data", peerKey); slices.Contains(live, peer) {
			return old.GetResourceVersion(), nil
		}
	}
	if len(live) > 0 {
		peer = live[0]
	}
	file := object("v1", "ConfigMap", h.namespace, peerFile)
	file.Object["data"] = map[string]any{peerKey: peer}
	written, err := of.Apply(context.Background(), peerFile, file, metav1.ApplyOptions{FieldManager: manager})
	if err != nil {
		return "", err
	}
	return written.GetResourceVersion(), nil
}

// instances of one custom resource, or of all in a namespace, sorted by name.
func (o *operator) instances(namespace, name string) []*unstructured.Unstructured {
	var found []*unstructured.Unstructured
	for _, one := range o.pods.List() {
		pod := one.(*unstructured.Unstructured)
		if pod.GetNamespace() == namespace && (name == "" || pod.GetLabels()[label] == name) {
			found = append(found, pod)
		}
	}
	slices.SortFunc(found, func(a, b *unstructured.Unstructured) int { return strings.Compare(a.GetName(), b.GetName()) })
	return found
}

// tellPods lets kubelet read again what is mounted, where that has changed.
func (o *operator) tellPods(h habitat, peers string) error {
	versions := []string{peers}
	for _, name := range []string{h.ringSecret, h.configSecret, h.fileSecret} {
		if found, exists, _ := o.secrets.GetByKey(h.namespace + "/" + name); exists {
			versions = append(versions, found.(*unstructured.Unstructured).GetResourceVersion())
		}
	}
	told := strings.Join(versions, ".")
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, sources, told)
	for _, pod := range o.instances(h.namespace, h.name) {
		if pod.GetAnnotations()[sources] == told {
			continue
		}
		of := o.client.Resource(pods).Namespace(h.namespace)
		_, err := of.Patch(context.Background(), pod.GetName(), types.MergePatchType, patch, metav1.PatchOptions{})
		if err != nil {
			return err
		}
	}
	return nil
}

func (o *operator) apply(kind schema.GroupVersionResource, namespace string, wanted *unstructured.Unstructured) error {
	of := o.client.Resource(kind).Namespace(namespace)
	_, err := of.Apply(context.Background(), wanted.GetName(), wanted, metav1.ApplyOptions{FieldManager: manager})
	return err
}

// deployment is removed with the custom resource, which owns it.
func (h habitat) deployment() *unstructured.Unstructured {
	type list = []any
	type fields = map[string]any
	marks := fields{label: h.name}
	field := func(name, path string) fields {
		return fields{"name": name, "valueFrom": fields{"fieldRef": fields{"fieldPath": path}}}
	}
	secret := func(volume, secret string, items ...any) fields {
		source := fields{"secretName": secret}
		if len(items) > 0 {
			source["items"] = list(items)
		}
		return fields{"name": volume, "secret": source}
	}
	mount := func(volume, path string) fields {
		return fields{"name": volume, "mountPath": path, "readOnly": true}
	}
	made := object("apps/v1", "Deployment", h.namespace, h.name)
	made.SetOwnerReferences([]metav1.OwnerReference{*metav1.NewControllerRef(h.object, h.object.GroupVersionKind())})
	made.Object["spec"] = fields{
		"replicas": h.count,
		"selector": fields{"matchLabels": marks},
		"template": fields{"metadata": fields{"labels": marks}, "spec": fields{
			"terminationGracePeriodSeconds": int64(1),
			"containers": list{fields{
				"name": "supervisor", "image": h.image,
				"args":           list{"-peer-watch-file=/habitat-operator/" + peerKey},
				"env":            list{field("POD_NAME", "metadata.name"), field("POD_IP", "status.podIP")},
				"readinessProbe": fields{"httpGet": fields{"path": "/health", "port": int64(9631)}, "periodSeconds": int64(1)},
				"volumeMounts": list{
					mount("peers", "/habitat-operator"), mount("ring", "/hab/cache/keys"),
					mount("config", "/hab/user/"+h.service+"/config"), mount("files", "/hab/svc/"+h.service+"/files"),
				},
			}},
			"volumes": list{
				fields{"name": "peers", "configMap": fields{"name": peerFile}},
				secret("ring", h.ringSecret, fields{"key": "ring-key", "path": h.ringSecret + ".sym.key"}),
				secret("config", h.configSecret, fields{"key": "user.toml", "path": "user.toml"}),
				secret("files", h.fileSecret),
			},
		}},
	}
	return made
}

func object(version, kind, namespace, name string) *unstructured.Unstructured {
	made := &unstructured.Unstructured{Object: map[string]any{"apiVersion": version, "kind": kind}}
	made.SetNamespace(namespace)
	made.SetName(name)
	return made
}
