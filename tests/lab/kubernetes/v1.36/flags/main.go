// Writes down the flags of Kubernetes' components and of etcd, with the type that reads each value, and the names that some of them take.
// bootkube holds a configuration against this table (src/limits/programs.txt), which a test compares with this output. `--help` leaves
// out flags and feature gates that are deprecated, and these still work.
package main

import (
	"flag"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.etcd.io/etcd/server/v3/embed"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	cliflag "k8s.io/component-base/cli/flag"
	_ "k8s.io/component-base/logs/json/register" // adds flags, as in the components' own main packages
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	kcm "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	"k8s.io/kubernetes/pkg/kubeapiserver/options"
)

func main() {
	kubernetes("kube-apiserver", apiserver.NewAPIServerCommand())
	kubernetes("kube-controller-manager", kcm.NewControllerManagerCommand())
	kubernetes("kube-scheduler", scheduler.NewSchedulerCommand())
	kubernetes("kube-proxy", proxy.NewProxyCommand())
	etcd()
	gates()
	write("names", map[string][]string{
		"admission-plugins":   slices.Clone(options.AllOrderedPlugins),
		"cipher-suites":       cliflag.TLSCipherPossibleValues(),
		"controllers":         kcm.KnownControllers(),
		"controllers-aliases": aliases(),
	})
}

func aliases() (aliases []string) {
	for alias, name := range kcm.ControllerAliases() {
		aliases = append(aliases, alias+"="+name)
	}
	return aliases
}

func kubernetes(component string, command *cobra.Command) {
	types := map[string][]string{}
	visit := func(f *pflag.Flag) {
		name := strings.ReplaceAll(f.Name, "_", "-") // as WordSepNormalizeFunc does
		types[f.Value.Type()] = append(types[f.Value.Type()], name)
	}
	command.InitDefaultHelpFlag()
	command.InheritedFlags().VisitAll(visit) // of the program, such as --version
	command.Flags().VisitAll(visit)
	write(component, types)
}

func etcd() {
	flags := flag.NewFlagSet("etcd", flag.ContinueOnError)
	embed.NewConfig().AddFlags(flags)
	flags.Bool("version", false, "") // etcdmain adds these
	for _, name := range []string{"config-file", "discovery-fallback", "initial-cluster-state", "v2-deprecation"} {
		flags.String(name, "", "")
	}
	types := map[string][]string{}
	flags.VisitAll(func(f *flag.Flag) {
		t := strings.TrimSuffix(reflect.TypeOf(f.Value).Elem().Name(), "Value")
		types[t] = append(types[t], f.Name)
	})
	write("etcd", types)
}

func write(component string, types map[string][]string) {
	for _, t := range slices.Sorted(maps.Keys(types)) {
		names := types[t]
		slices.Sort(names)
		names = slices.Compact(names)
		fmt.Printf("%s %s: %s\n", component, t, strings.Join(names, " "))
	}
}

// gates that are locked take their default only.
func gates() {
	lines := map[string][]string{}
	for name, spec := range utilfeature.DefaultMutableFeatureGate.GetAll() {
		group := "free"
		if spec.LockToDefault {
			group = fmt.Sprint(spec.Default)
		}
		lines[group] = append(lines[group], string(name))
	}
	write("feature-gates", lines)
}
