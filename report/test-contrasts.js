// Runs in the page: the texts whose contrast with their ground is below WCAG's 4.5, or 3 where they are large.
(() => {
  const parts = (colour) => (colour.match(/[\d.]+/g) ?? []).map(Number);
  const luminance = (colour) => {
    const [red, green, blue] = parts(colour).map((part) =>
      part / 255 <= 0.03928 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4,
    );
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const ratio = (one, other) => {
    const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a);
    return (light + 0.05) / (dark + 0.05);
  };
  const ground = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const colour = getComputedStyle(each).backgroundColor;
      if ((parts(colour)[3] ?? 1) > 0) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const bad = [];
  const texts = "p, h1, h2, h3, dt, dd, strong, span, a, label, legend, li, th, td, summary, code, text";
  for (const element of document.querySelectorAll(`.edition[lang=en] :is(${texts})`)) {
    if (!element.textContent.trim() || !element.checkVisibility()) continue;
    const isDrawn = element.tagName === "text";
    // A text on a coloured cell is judged by the palette, below.
    if (isDrawn && (element.getAttribute("fill") ?? "").includes("heat")) continue;
    const style = getComputedStyle(element);
    const found = ratio(isDrawn ? style.fill : style.color, ground(element));
    const least = parseFloat(style.fontSize) >= 24 ? 3 : 4.5;
    if (found < least) bad.push(`${element.tagName} ${element.textContent.slice(0, 30)}: ${found.toFixed(2)}`);
  }
  const probe = document.body.appendChild(document.createElement("i"));
  const colour = (name) => {
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  };
  for (let step = 0; step <= 6; step++) {
    const found = ratio(colour(`--heat-${step}`), colour(step >= 4 ? "--heat-ink-high" : "--heat-ink-low"));
    if (found < 4.5) bad.push(`heat ${step}: ${found.toFixed(2)}`);
  }
  probe.remove();
  return bad;
})();
