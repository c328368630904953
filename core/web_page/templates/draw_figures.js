
// Unpacks plotly.js and draws each figure in its place.
async function unpack(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
}
async function drawFigures() {
  const script = document.createElement("script");
  script.textContent = await unpack(document.getElementById("packed-plotly").textContent);
  document.head.append(script);
  const config = JSON.parse(document.getElementById("plotly-config").textContent);
  for (const source of document.querySelectorAll("script[data-figure]")) {
    const figure = JSON.parse(source.textContent);
    Plotly.newPlot(source.dataset.figure, figure.data, figure.layout, config);
  }
}
if (typeof DecompressionStream === "undefined") {
  document.getElementById("figures-missing").hidden = false;
} else {
  drawFigures();
}
