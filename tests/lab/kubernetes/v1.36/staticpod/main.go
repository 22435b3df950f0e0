// Tells whether kubelet takes a static pod: reads one JSON manifest a line, answers each with a line, empty or with the reason
// of the refusal. It is kubelet's own function that decides, with kubelet's default feature gates.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	_ "unsafe" // for go:linkname

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	api "k8s.io/kubernetes/pkg/apis/core"
	_ "k8s.io/kubernetes/pkg/kubelet/config"
)

//go:linkname decode k8s.io/kubernetes/pkg/kubelet/config.tryDecodeSinglePod
func decode(klog.Logger, []byte, func(klog.Logger, *api.Pod) error) (bool, *v1.Pod, error)

//go:linkname applyDefaults k8s.io/kubernetes/pkg/kubelet/config.applyDefaults
func applyDefaults(klog.Logger, *api.Pod, string, bool, types.NodeName) error

func main() {
	logger := klog.Background()
	defaults := func(logger klog.Logger, pod *api.Pod) error {
		return applyDefaults(logger, pod, "/etc/kubernetes/manifests/pod.json", true, "n1")
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 10<<20)
	for lines.Scan() {
		reason := ""
		if _, _, err := decode(logger, lines.Bytes(), defaults); err != nil {
			reason = err.Error()
		}
		answer, err := json.Marshal(reason)
		if err != nil {
			panic(err)
		}
		fmt.Println(string(answer))
	}
	if err := lines.Err(); err != nil {
		panic(err)
	}
}
