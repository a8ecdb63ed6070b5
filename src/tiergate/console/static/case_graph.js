// Draws the accounts of a case and the links among them, and says why an account is there when it is clicked.
"use strict";
(() => {
  const place = document.getElementById("graph");
  const panel = document.getElementById("why-panel");
  const styleOf = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  let graph = null;
  let drawn = null;
  let chosen = null;

  async function show(query) {
    const answer = await fetch(`${place.dataset.why}?${new URLSearchParams(query)}`);
    const told = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("why");
    if (told) panel.replaceChildren(document.importNode(told, true));
  }

  function choose(node, other) {
    if (chosen) graph.setNodeAttribute(chosen, "color", styleOf("--c1"));
    chosen = node;
    graph.setNodeAttribute(node, "color", styleOf("--c2"));
    show(other ? { a: node, b: other } : { a: node });
  }

  async function read() {
    const answer = await fetch(place.dataset.graph);
    if (!answer.ok) return;
    const held = await answer.json();
    graph = new graphology.Graph({ multi: true, type: "undirected" });
    const most = Math.max(1, ...held.accounts.map((one) => one[3]));
    const strongest = Math.max(1, ...held.links.map((one) => one[2]));
    const small = Math.min(1, Math.sqrt(60 / Math.max(1, held.accounts.length)) + 0.2);
    for (const [name, x, y, charged] of held.accounts) graph.addNode(name, { x, y: -y, label: name, size: (3 + 8 * Math.sqrt(charged / most)) * small });
    for (const [a, b] of held.shared) graph.addEdge(a, b, { size: 0.6, link: false });
    for (const [a, b, weight] of held.links) graph.addEdge(a, b, { size: 0.6 + 1.6 * (weight / strongest), link: true });
    draw();
    window.tiergateGraph = { choose, where: (node) => drawn.graphToViewport(graph.getNodeAttributes(node)) };
    place.dataset.drawn = String(graph.order);
  }

  function draw() {
    drawn?.kill();
    const ink = styleOf("--ink"), soft = styleOf("--soft"), faint = styleOf("--line");
    graph.updateEachNodeAttributes((node, held) => ({ ...held, color: styleOf(node === chosen ? "--c2" : "--c1") }));
    graph.updateEachEdgeAttributes((edge, held) => ({ ...held, color: held.link ? soft : faint }));
    const { nodes, edges } = Sigma.DEFAULT_STYLES;
    drawn = new Sigma(graph, place, {
      styles: { nodes: [nodes, { labelColor: ink, backdropColor: styleOf("--card") }].flat(), edges },
      settings: { itemSizesReference: "screen", enableEdgeEvents: true, labelRenderedSizeThreshold: 9, minCameraRatio: 0.02, maxCameraRatio: 4 },
    });
    drawn.on("clickNode", ({ node }) => choose(node));
    drawn.on("clickEdge", ({ edge }) => choose(graph.source(edge), graph.target(edge)));
  }

  document.addEventListener("themechange", () => graph && draw());
  // A way that is asked for in the panel is shown in the panel.
  panel.addEventListener("click", (event) => {
    const link = event.target.closest("td a");
    if (!link || !link.href.includes("/why?")) return;
    event.preventDefault();
    show(Object.fromEntries(new URL(link.href).searchParams));
  });
  panel.addEventListener("submit", (event) => {
    if (event.target.method !== "get") return;
    event.preventDefault();
    show(Object.fromEntries(new FormData(event.target)));
  });
  document.addEventListener("DOMContentLoaded", read);
})();
