// Writes down how Kubernetes keeps its objects in etcd: for each message the numbers of its fields, their names in JSON, and what JSON
// leaves out. bootkube's `recover` reads objects by this table (src/recover/decode/fields.txt), which a test compares with this output.
package main

import (
	"fmt"
	"os"
	"reflect"
	"sort"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// kinds are the objects that `recover` looks for.
var kinds = []struct {
	version string
	object  any
}{
	{"v1", corev1.ConfigMap{}},
	{"v1", corev1.Secret{}},
	{"v1", corev1.Service{}},
	{"v1", corev1.ServiceAccount{}},
	{"apps/v1", appsv1.DaemonSet{}},
	{"apps/v1", appsv1.Deployment{}},
	{"policy/v1", policyv1.PodDisruptionBudget{}},
	{"rbac.authorization.k8s.io/v1", rbacv1.ClusterRole{}},
	{"rbac.authorization.k8s.io/v1", rbacv1.ClusterRoleBinding{}},
	{"rbac.authorization.k8s.io/v1", rbacv1.Role{}},
	{"rbac.authorization.k8s.io/v1", rbacv1.RoleBinding{}},
}

// special are types whose JSON is not that of their fields.
var special = map[reflect.Type]string{
	reflect.TypeOf(metav1.Time{}):         "time",
	reflect.TypeOf(metav1.MicroTime{}):    "microtime",
	reflect.TypeOf(metav1.FieldsV1{}):     "json",
	reflect.TypeOf(runtime.RawExtension{}): "json",
	reflect.TypeOf(resource.Quantity{}):   "quantity",
	reflect.TypeOf(intstr.IntOrString{}):  "int-or-string",
}

var (
	messages = map[reflect.Type]string{}
	lines    = map[string][]string{}
)

func main() {
	for _, kind := range kinds {
		t := reflect.TypeOf(kind.object)
		fmt.Printf("kind %s %s %s\n", kind.version, t.Name(), message(t))
	}
	var names []string
	for name := range lines {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		fmt.Printf("message %s\n%s", name, strings.Join(lines[name], ""))
	}
}

// message notes down t, once, and says how it is called.
func message(t reflect.Type) string {
	if name, known := messages[t]; known {
		return name
	}
	name := t.Name()
	if _, taken := lines[name]; taken {
		fail("two messages are called %s", name)
	}
	messages[t], lines[name] = name, nil
	for i := range t.NumField() {
		if line := field(t.Field(i)); line != "" {
			lines[name] = append(lines[name], line)
		}
	}
	return name
}

// field is `NUMBER NAME TYPE FLAGS…`.
func field(f reflect.StructField) string {
	tag := strings.Split(f.Tag.Get("protobuf"), ",")
	if len(tag) < 2 {
		return "" // apiVersion and kind are kept beside the object
	}
	json := strings.Split(f.Tag.Get("json"), ",")
	words := []string{tag[1], json[0], kind(f.Type)}
	if json[0] == "" {
		words[1] = "-"
	}
	words = append(words, json[1:]...)
	if f.Type.Kind() == reflect.Pointer {
		words = append(words, "pointer")
	}
	return strings.Join(words, " ") + "\n"
}

func kind(t reflect.Type) string {
	if name, known := special[t]; known {
		return name
	}
	switch t.Kind() {
	case reflect.Pointer:
		return kind(t.Elem())
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "bool"
	case reflect.Int32, reflect.Int64:
		return "int"
	case reflect.Struct:
		return message(t)
	case reflect.Map:
		return "map:" + kind(t.Elem())
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return "bytes"
		}
		return "list:" + kind(t.Elem())
	}
	fail("%s has no place in the table", t)
	return ""
}

func fail(format string, arguments ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", arguments...)
	os.Exit(1)
}
