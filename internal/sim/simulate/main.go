// Simulate runs many people in one process who write, cheat and gossip, checks that the honest
// ones end with the same root, and says what it cost each of them. Package sim has the details.
//
// Usage:
//
//	go run ./internal/sim/simulate [-people N,...] [-seed N] [-cheats SHARE] [-kinds KIND,...]
//	                               [-json] [-plot FILE.svg] [-summary] [-add FILE]
//
// It prints a table with a row for each number of people. The exit status is 1 if what is promised
// did not hold. Large runs take long: -json keeps what one has shown, and -add takes it into the
// table and the plot of another.
//
// Example:
//
//	go run ./internal/sim/simulate -people 10,100,1000 -plot docs/simulation.svg
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"archivecache/internal/sim"
)

type options struct {
	sizes         []int
	config        sim.Config
	json, summary bool
	plot, add     string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	opt, err := parse()
	if err != nil {
		fmt.Fprintln(os.Stderr, "simulate:", err)
		os.Exit(2)
	}
	err = run(ctx, opt)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "simulate:", err)
		os.Exit(1)
	}
}

func parse() (options, error) {
	opt := options{config: sim.Standard(0, 1)}
	c := &opt.config
	people := flag.String("people", "100", "`NUMBERS` of people, one run for each, with commas; none if empty")
	kinds := flag.String("kinds", "", "`KINDS` of cheats, with commas; all if empty")
	flag.Uint64Var(&c.Seed, "seed", c.Seed, "`NUMBER` from which all chance follows")
	flag.Float64Var(&c.Cheats, "cheats", c.Cheats, "`SHARE` of people who cheat")
	flag.IntVar(&c.Rounds, "rounds", c.Rounds, "`ROUNDS` in which people write")
	flag.Float64Var(&c.Writes, "writes", c.Writes, "`SHARE` of people who publish in each of these rounds")
	flag.Float64Var(&c.Loss, "loss", c.Loss, "`SHARE` of messages that are lost")
	flag.IntVar(&c.Fanout, "fanout", c.Fanout, "`NODES` that each person sends in a round")
	flag.BoolVar(&opt.json, "json", false, "print one JSON object for each run in place of the table")
	flag.BoolVar(&opt.summary, "summary", false, "say in words what each run has shown")
	flag.StringVar(&opt.plot, "plot", "", "draw the cost against the number of people into `FILE`")
	flag.StringVar(&opt.add, "add", "", "show the runs in `FILE`, which -json has printed, as well")
	flag.Parse()
	for _, text := range words(*people) {
		n, err := strconv.Atoi(text)
		if err != nil {
			return opt, fmt.Errorf("-people %s: not numbers with commas between them", *people)
		}
		opt.sizes = append(opt.sizes, n)
	}
	for _, kind := range words(*kinds) {
		if !slices.Contains(sim.Kinds, sim.Cheat(kind)) {
			return opt, fmt.Errorf("-kinds %s: there are %q", kind, sim.Kinds)
		}
		c.Kinds = append(c.Kinds, sim.Cheat(kind))
	}
	if flag.NArg() > 0 {
		return opt, fmt.Errorf("unexpected %q", flag.Arg(0))
	}
	return opt, nil
}

func words(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' })
}

func run(ctx context.Context, opt options) error {
	results, err := earlier(opt.add)
	if err != nil {
		return err
	}
	for _, n := range opt.sizes {
		c := opt.config
		c.People = n
		start, before := time.Now(), processor()
		r, err := sim.Run(ctx, c)
		if err != nil {
			return fmt.Errorf("%d people, seed %d: %w", n, c.Seed, err)
		}
		var memory runtime.MemStats
		runtime.ReadMemStats(&memory)
		results = append(results, sim.Measured{
			Result: r, Seconds: time.Since(start).Seconds(), Processor: (processor() - before).Seconds(), Memory: memory.Sys,
		})
		fmt.Fprintf(os.Stderr, "simulate: %d people are done after %s\n", n, time.Since(start).Round(time.Second))
	}
	if len(results) == 0 {
		return errors.New("nothing to show: give -people or -add")
	}
	slices.SortStableFunc(results, func(a, b sim.Measured) int { return a.Config.People - b.Config.People })
	return errors.Join(show(opt, results), draw(opt.plot, results))
}

// processor returns the processor time that this process has used.
func processor() time.Duration {
	var used syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &used) != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// earlier reads results that were printed as JSON; no file has none.
func earlier(file string) (results []sim.Measured, err error) {
	if file == "" {
		return nil, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for d := json.NewDecoder(f); ; {
		var r sim.Measured
		switch err := d.Decode(&r); {
		case errors.Is(err, io.EOF):
			return results, nil
		case err != nil || r.Result == nil:
			return nil, fmt.Errorf("%s: not what -json prints: %w", file, err)
		}
		results = append(results, r)
	}
}

func show(opt options, results []sim.Measured) error {
	if opt.json {
		out := json.NewEncoder(os.Stdout)
		for _, r := range results {
			if err := out.Encode(r); err != nil {
				return err
			}
		}
		return nil
	}
	if opt.summary {
		for _, r := range results {
			if err := sim.Summary(os.Stdout, r.Result); err != nil {
				return err
			}
		}
	}
	return sim.Table(os.Stdout, results)
}

func draw(file string, results []sim.Measured) error {
	if file == "" {
		return nil
	}
	var b strings.Builder
	if err := sim.Plot(&b, results); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(b.String()), 0o644)
}
