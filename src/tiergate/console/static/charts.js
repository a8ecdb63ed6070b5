// Draws each figure.chart from the numbers that stand in it.
"use strict";
(() => {
  const styleOf = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const COLOURS = ["--c1", "--c2", "--c3", "--c4", "--c5", "--c6", "--c7", "--c8"];
  const plots = new Map();

  function written(kind, value) {
    if (value === null || value === undefined) return "–";
    if (kind === "share") return `${+(100 * value).toPrecision(3)}%`;
    if (kind === "usd") return `$${(value / 1e6).toLocaleString("en", { maximumFractionDigits: Math.abs(value) < 1e6 ? 4 : 0 })}`;
    if (kind === "seconds") return value < 1 ? `${+(1000 * value).toPrecision(3)} ms` : `${+value.toPrecision(3)} s`;
    return Math.abs(value) >= 10000 ? Math.round(value).toLocaleString("en") : String(+value.toPrecision(4));
  }

  // Along an axis there is room for a few signs.
  const short = (kind, value) => {
    const figure = kind === "usd" ? value / 1e6 : value;
    if (Math.abs(figure) < 10000 || kind === "share" || kind === "seconds") return written(kind, value);
    return (kind === "usd" ? "$" : "") + figure.toLocaleString("en", { notation: "compact", maximumSignificantDigits: 3 });
  };

  // Along an axis of time: the finest unit first, below it what it is part of. The library's own are 12 hours and US dates.
  const DATED = "\n{YYYY}-{MM}-{DD}";
  const TIMES = [
    [31536000, "{YYYY}", null, null, null, null, null, null, 1],
    [2419200, "{MMM}", "\n{YYYY}", null, null, null, null, null, 1],
    [86400, "{MM}-{DD}", "\n{YYYY}", null, null, null, null, null, 1],
    [60, "{HH}:{mm}", DATED, null, "\n{MM}-{DD}", null, null, null, 1],
    [1, "{HH}:{mm}:{ss}", DATED, null, "\n{MM}-{DD}", null, null, null, 1],
  ];

  // Bars from the series before to this one, so many pixels wide; a single value is a stroke.
  const ranges = (width) => (plot, place) => {
    const path = new Path2D();
    plot.data[place].forEach((high, at) => {
      const low = plot.data[place - 1][at];
      if (high === null || low === null) return;
      const [x, top, bottom] = [plot.valToPos(plot.data[0][at], "x", true), plot.valToPos(high, "y", true), plot.valToPos(low, "y", true)];
      const size = width * devicePixelRatio, height = Math.max(3 * devicePixelRatio, bottom - top);
      path.rect(x - size / 2, (top + bottom - height) / 2, size, height);
    });
    return { fill: path, stroke: path };
  };

  function draw(figure) {
    const place = figure.querySelector(".drawing");
    const held = JSON.parse(figure.querySelector("script").textContent);
    plots.get(figure)?.destroy();
    const ink = styleOf("--ink"), faint = styleOf("--line");
    const kind = held.series[0]?.kind ?? "number";
    const axis = { stroke: ink, grid: { stroke: faint, width: 1 }, ticks: { stroke: faint, width: 1 }, font: "12px system-ui, sans-serif", labelFont: "12px system-ui, sans-serif" };
    const labelled = held.labels !== null;
    let nth = 0;
    const series = [
      { label: held.xTitle, value: (_plot, x) => x === null ? "–" : labelled ? held.labels[held.x.indexOf(x)] ?? "" : held.time ? new Date(1000 * x).toISOString().slice(0, 16).replace("T", " ") : written("number", x) },
      ...held.series.map((one, place) => {
        const colour = styleOf(COLOURS[place % COLOURS.length]);
        const drawn = { label: one.title, stroke: colour, width: 2, value: (_plot, value) => written(one.kind, value), spanGaps: false, points: { show: one.values.filter((value) => value !== null).length < 4 } };
        if (one.style === "points") Object.assign(drawn, { paths: () => null, points: { show: true, size: 7, fill: colour } });
        if (one.style === "dashed") drawn.dash = [6, 4];
        if (one.style === "step") drawn.paths = uPlot.paths.stepped({ align: 1 });
        if (one.style === "range") Object.assign(drawn, { label: one.title, paths: ranges(Math.max(8, 44 - 16 * nth++)), fill: styleOf(COLOURS[(place - 1) % COLOURS.length]) + "88", stroke: styleOf(COLOURS[(place - 1) % COLOURS.length]), points: { show: false } });
        if (held.series[place + 1]?.style === "range") Object.assign(drawn, { paths: () => null, points: { show: false } });
        if (one.style === "bars") Object.assign(drawn, { paths: uPlot.paths.bars({ size: [0.7, 60] }), fill: colour + "aa", points: { show: false } });
        return drawn;
      }),
    ];
    const bands = held.series.flatMap((one, place) => one.style === "band" ? [{ series: [place, place + 1], fill: styleOf(COLOURS[(place - 1) % COLOURS.length]) + "33" }] : []);
    const options = {
      width: Math.max(260, place.clientWidth), height: Number(figure.dataset.height), series, bands,
      scales: { x: { time: held.time, range: labelled ? [-0.6, held.x.length - 0.4] : undefined }, y: held.log ? { distr: 3 } : held.series.some((one) => one.style === "bars") ? { range: { min: { soft: 0, mode: 1 }, max: { pad: 0.1, mode: 2 } } } : {} },
      axes: [
        { ...axis, label: held.xTitle, values: labelled ? (_plot, ticks) => ticks.map((tick) => held.labels[tick] ?? "") : held.time ? TIMES : undefined, splits: labelled ? () => held.x : undefined },
        { ...axis, label: held.yTitle, size: 70, values: (_plot, ticks) => ticks.map((tick) => tick === null ? "" : short(kind, tick)) },
      ],
      legend: { live: true }, cursor: { drag: { x: true, y: false } }, tzDate: (stamp) => uPlot.tzDate(new Date(stamp * 1000), "Etc/UTC"),
    };
    plots.set(figure, new uPlot(options, [held.x, ...held.series.map((one) => one.values)], place));
  }

  function drawAll(within = document) {
    for (const figure of plots.keys()) if (!figure.isConnected) { plots.get(figure).destroy(); plots.delete(figure); }
    within.querySelectorAll("figure.chart").forEach(draw);
  }
  window.tiergateCharts = { drawAll };
  document.addEventListener("DOMContentLoaded", () => drawAll());
  document.addEventListener("themechange", () => drawAll());
  document.addEventListener("htmx:after:swap", () => drawAll());
  let width = innerWidth;
  addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; drawAll(); } });
})();
