// A stand-in for Habitat's supervisor. It gossips on one port with the supervisors that it knows, and lists them on
// another one, over HTTP. It finds its first peers by a DNS name, or in a file that an operator keeps up to date. With
// a DNS name it does not serve before the name has an address.
package main

import (
	"cmp"
	"encoding/json"
	"flag"
	"log"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	gossip = 9638
	api    = ":9631"
	// How often a supervisor tells the others what it knows, and how long one may be silent.
	round  = 500 * time.Millisecond
	silent = 10 * time.Second
)

// A member as it is told to the others. Beat is greater whenever the member itself has spoken.
type member struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	Beat    int64  `json:"beat"`
}

// What is known of the others. One that is silent stays, so that old news does not bring it back.
type census struct {
	lock  sync.Mutex
	known map[string]member
	heard map[string]time.Time
}

func main() {
	peer := flag.String("peer", "", "DNS name of the first peers")
	watch := flag.String("peer-watch-file", "", "file with the address of a peer, read again and again")
	flag.Parse()
	socket, err := net.ListenUDP("udp", &net.UDPAddr{Port: gossip})
	if err != nil {
		log.Fatal(err)
	}
	all := &census{known: map[string]member{}, heard: map[string]time.Time{}}
	first := func() ([]string, error) { return net.LookupHost(*peer) }
	if *watch != "" {
		first = func() ([]string, error) { return addressIn(*watch) }
	} else {
		waitFor(first)
	}
	go listen(socket, all)
	go speak(socket, all, first)
	log.Fatal(serve(all))
}

func serve(all *census) error {
	http.HandleFunc("/health", func(http.ResponseWriter, *http.Request) {})
	http.HandleFunc("/census", func(to http.ResponseWriter, _ *http.Request) {
		if err := json.NewEncoder(to).Encode(all.alive()); err != nil {
			log.Print(err)
		}
	})
	log.Print("serving on ", api)
	return http.ListenAndServe(api, nil)
}

func waitFor(first func() ([]string, error)) {
	for {
		found, err := first()
		if err == nil {
			log.Print("peers: ", found)
			return
		}
		log.Print("no peer yet: ", err)
		time.Sleep(time.Second)
	}
}

// The file may be empty: then no peer is known yet.
func addressIn(file string) ([]string, error) {
	text, err := os.ReadFile(file)
	return strings.Fields(string(text)), err
}

// speak sends what is known to each known member, and to the first peers: one that has restarted knows none.
func speak(socket *net.UDPConn, all *census, first func() ([]string, error)) {
	for range time.Tick(round) {
		all.merge([]member{{os.Getenv("POD_NAME"), os.Getenv("POD_IP"), time.Now().UnixNano()}})
		alive := all.alive()
		addresses, err := first()
		if err != nil {
			log.Print("no first peer: ", err)
		}
		for _, member := range alive {
			addresses = append(addresses, member.Address)
		}
		slices.Sort(addresses)
		for _, address := range slices.Compact(addresses) {
			if err := send(socket, alive, address); err != nil {
				log.Print(err)
			}
		}
	}
}

func send(socket *net.UDPConn, news []member, address string) error {
	packet, err := json.Marshal(news)
	if err != nil {
		return err
	}
	_, err = socket.WriteToUDP(packet, &net.UDPAddr{IP: net.ParseIP(address), Port: gossip})
	return err
}

func listen(socket *net.UDPConn, all *census) {
	packet := make([]byte, 1<<16)
	for {
		size, _, err := socket.ReadFromUDP(packet)
		if err != nil {
			log.Fatal(err)
		}
		var news []member
		if err := json.Unmarshal(packet[:size], &news); err != nil {
			log.Print(err)
			continue
		}
		all.merge(news)
	}
}

func (c *census) merge(news []member) {
	c.lock.Lock()
	defer c.lock.Unlock()
	for _, member := range news {
		if member.Beat > c.known[member.Name].Beat {
			c.known[member.Name], c.heard[member.Name] = member, time.Now()
		}
	}
}

// alive is sorted by name.
func (c *census) alive() []member {
	c.lock.Lock()
	defer c.lock.Unlock()
	all := slices.SortedFunc(maps.Values(c.known), func(a, b member) int { return cmp.Compare(a.Name, b.Name) })
	return slices.DeleteFunc(all, func(m member) bool { return time.Since(c.heard[m.Name]) > silent })
}
