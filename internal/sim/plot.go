package sim

import (
	"fmt"
	"io"
	"math"
	"strings"
)

// A panel is one diagram, both of whose scales are logarithmic.
type panel struct {
	title  string
	left   float64 // of the area, in pixels
	x, y   scale
	values []series
}

// A series is a line in a panel.
type series struct {
	name   string
	colour string
	points [][2]float64
}

// A scale maps what lies between two powers of ten to pixels.
type scale struct {
	low, high   int // exponents
	from, until float64
}

func (s scale) at(v float64) float64 {
	part := (math.Log10(v) - float64(s.low)) / float64(s.high-s.low)
	return s.from + part*(s.until-s.from)
}

// scaleOf returns a scale that has room for values, which are above 0.
func scaleOf(values []float64, from, until float64) scale {
	low, high := math.Inf(1), math.Inf(-1)
	for _, v := range values {
		low, high = min(low, math.Log10(v)), max(high, math.Log10(v))
	}
	s := scale{low: int(math.Floor(low)), high: int(math.Ceil(high)), from: from, until: until}
	if s.high == s.low {
		s.high++
	}
	return s
}

const (
	panelWidth, panelHeight = 250.0, 250.0
	marginLeft, marginTop   = 62.0, 40.0
	plotHeight              = 350
)

// Plot writes an SVG of the cost for each person against the number of people.
func Plot(w io.Writer, results []Measured) error {
	pick := func(f func(Measured) float64) (points [][2]float64) {
		for _, r := range results {
			points = append(points, [2]float64{float64(r.Config.People), max(1, f(r))})
		}
		return points
	}
	mean := func(f func(Measured) float64) series { return series{"mean", "#1f5fa8", pick(f)} }
	most := func(f func(Measured) float64) series { return series{"max", "#c0392b", pick(f)} }
	panels := []panel{
		newPanel(0, "rounds until all are equal", series{"rounds", "#1f5fa8", pick(func(r Measured) float64 { return float64(r.Rounds) })}),
		newPanel(1, "references met by each person",
			mean(func(r Measured) float64 { return r.Mean.References }), most(func(r Measured) float64 { return float64(r.Max.References) })),
		newPanel(2, "KiB fetched by each person",
			mean(func(r Measured) float64 { return r.Mean.Bytes / 1024 }), most(func(r Measured) float64 { return float64(r.Max.Bytes) / 1024 })),
	}
	var b strings.Builder
	width := int(3*(panelWidth+marginLeft) + 30)
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">`+"\n", width, plotHeight)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="white"/>`+"\n", width, plotHeight)
	for _, p := range panels {
		p.draw(&b)
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// newPanel returns panel number n from the left.
func newPanel(n int, title string, values ...series) panel {
	var xs, ys []float64
	for _, s := range values {
		for _, p := range s.points {
			xs, ys = append(xs, p[0]), append(ys, p[1])
		}
	}
	left := marginLeft + float64(n)*(panelWidth+marginLeft)
	return panel{
		title: title, left: left, values: values,
		x: scaleOf(xs, left, left+panelWidth), y: scaleOf(ys, marginTop+panelHeight, marginTop),
	}
}

func (p panel) draw(b *strings.Builder) {
	fmt.Fprintf(b, `<text x="%.1f" y="24" font-weight="bold">%s</text>`+"\n", p.left, p.title)
	bottom := marginTop + panelHeight
	for e := p.x.low; e <= p.x.high; e++ {
		x := p.x.at(math.Pow10(e))
		fmt.Fprintf(b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="#ccc"/>`+"\n", x, marginTop, x, bottom)
		fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="middle">%s</text>`+"\n", x, bottom+18, power(e))
	}
	for e := p.y.low; e <= p.y.high; e++ {
		y := p.y.at(math.Pow10(e))
		fmt.Fprintf(b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="#ccc"/>`+"\n", p.left, y, p.left+panelWidth, y)
		fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="end">%s</text>`+"\n", p.left-6, y+4, power(e))
	}
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="middle">people</text>`+"\n", p.left+panelWidth/2, bottom+38)
	for i, s := range p.values {
		s.draw(b, p, i)
	}
}

func (s series) draw(b *strings.Builder, p panel, n int) {
	var line []string
	for _, point := range s.points {
		x, y := p.x.at(point[0]), p.y.at(point[1])
		line = append(line, fmt.Sprintf("%.1f,%.1f", x, y))
		fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="3.5" fill="%s"/>`+"\n", x, y, s.colour)
	}
	fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="1.5"/>`+"\n", strings.Join(line, " "), s.colour)
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" fill="%s">%s</text>`+"\n", p.left+8, marginTop+16+15*float64(n), s.colour, s.name)
}

func power(e int) string {
	if e < 0 {
		return fmt.Sprintf("%g", math.Pow10(e))
	}
	return "1" + strings.Repeat("0", e)
}
