// Asks an API server at a steady rate the way Kubernetes' own components do: with client-go, over a connection that is
// kept, trying again what client-go tries again and nothing else. Writes one JSON line for each request, as `lab probe`
// does, until its standard input ends.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// As long as `lab probe` waits.
const patience = 5 * time.Second

type sample struct {
	At     float64 `json:"at"`
	Took   float64 `json:"took"`
	Status *int32  `json:"status"`
	Error  string  `json:"error,omitempty"`
}

func main() {
	kubeconfig := flag.String("kubeconfig", "", "whom to ask and as whom")
	path := flag.String("path", "/readyz", "what to ask for")
	rate := flag.Int("rate", 40, "requests a second")
	http1 := flag.Bool("http1", false, "speak HTTP/1.1 instead of HTTP/2")
	flag.Parse()
	client, err := client(*kubeconfig, *http1)
	if err != nil {
		fmt.Fprintln(os.Stderr, "keepalive:", err)
		os.Exit(1)
	}
	ask(client, *path, time.Second/time.Duration(*rate))
}

func client(kubeconfig string, http1 bool) (*rest.RESTClient, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	config.QPS = -1 // the rate is ours
	config.NegotiatedSerializer = serializer.NewCodecFactory(runtime.NewScheme())
	if http1 {
		config.NextProtos = []string{"http/1.1"}
	}
	return rest.UnversionedRESTClientFor(config)
}

// ask starts a request at every tick, whether or not the one before was answered.
func ask(client *rest.RESTClient, path string, interval time.Duration) {
	var running sync.WaitGroup
	var writing sync.Mutex
	out := json.NewEncoder(os.Stdout)
	ended := inputEnds()
	ticks := time.NewTicker(interval)
	for {
		select {
		case <-ended:
			running.Wait()
			return
		case <-ticks.C:
			running.Go(func() {
				sample := one(client, path)
				writing.Lock()
				defer writing.Unlock()
				if err := out.Encode(sample); err != nil {
					panic(err) // without its output the program is of no use
				}
			})
		}
	}
}

func one(client *rest.RESTClient, path string) sample {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	begun := time.Now()
	_, err := client.Get().AbsPath(path).DoRaw(ctx)
	done := sample{At: float64(begun.UnixMicro()) / 1e6, Took: time.Since(begun).Seconds()}
	var status apierrors.APIStatus
	switch {
	case err == nil:
		ok := int32(200)
		done.Status = &ok
	case errors.As(err, &status) && status.Status().Code != 0:
		code := status.Status().Code
		done.Status = &code
		done.Error = err.Error()
	default:
		done.Error = err.Error()
	}
	return done
}

func inputEnds() <-chan struct{} {
	ended := make(chan struct{})
	go func() {
		io.Copy(io.Discard, os.Stdin) // a broken input has ended as well
		close(ended)
	}()
	return ended
}
