// Where the views stand in the picture: in layers, so that every line leads from what is read to what reads it.
//
// The usual four steps (Sugiyama): a layer for each view; a place in every layer that a long line crosses; an order in
// each layer with few crossings; and coordinates near those of the neighbours. `depth` is the direction of the lines,
// `breadth` the other one: the caller says which is across the screen.

const SWEEPS = 12;
// How much breadth a line takes that only passes a layer.
const LINE_BREADTH = 4;

/**
 * Returns { places: Map of name -> { depth, breadth }, lines: [{ from, to, points }], depth, breadth }: centres, and the
 * size of the whole. `size` is { depth, breadth } of a view, `gap` the space between two. `how` may be "centred", which takes the least breadth.
 */
function layOut(views, size, gap, how) {
  const layerOf = layersOf(views);
  const layers = [];
  const put = (place) => {
    (layers[place.layer] ??= []).push(place);
    return place;
  };
  const places = new Map();
  for (const { name } of views) {
    places.set(name, put({ layer: layerOf.get(name), size: size.breadth, before: [], after: [] }));
  }
  const lines = chains(views, places, put);
  order(layers);
  spread(layers, gap.breadth, how === "centred");
  const pitch = size.depth + gap.depth;
  for (const place of layers.flat()) place.depth = place.layer * pitch + size.depth / 2;
  const low = Math.min(...layers.flat().map((place) => place.breadth - place.size / 2));
  for (const place of layers.flat()) place.breadth -= low;
  const high = Math.max(...layers.flat().map((place) => place.breadth + place.size / 2));
  return { places, lines, depth: layers.length * pitch - gap.depth, breadth: high };
}

/** A view stands one layer after the last of what it reads; what reads nothing, just before its first reader. */
function layersOf(views) {
  const byName = new Map(views.map((view) => [view.name, view]));
  const layers = new Map();
  const layer = (view) => {
    if (!layers.has(view.name)) {
      // The job refuses cycles. Should one get here, this ends it.
      layers.set(view.name, 0);
      const read = view.reads.filter((name) => byName.has(name)).map((name) => layer(byName.get(name)));
      layers.set(view.name, read.length ? Math.max(...read) + 1 : 0);
    }
    return layers.get(view.name);
  };
  views.forEach(layer);
  for (const view of views.filter((view) => view.reads.length === 0)) {
    const readers = views.filter((reader) => reader.reads.includes(view.name)).map((reader) => layers.get(reader.name));
    if (readers.length) layers.set(view.name, Math.max(0, Math.min(...readers) - 1));
  }
  return layers;
}

/** The lines. One that passes layers has a place in each, which the lines from the same view share. */
function chains(views, places, put) {
  const passing = new Map();
  const lines = [];
  for (const view of views) {
    for (const name of view.reads.filter((name) => places.has(name))) {
      const to = places.get(view.name);
      const points = [places.get(name)];
      while (points.at(-1).layer < to.layer - 1) {
        const last = points.at(-1);
        const key = JSON.stringify([name, last.layer + 1]);
        if (!passing.has(key)) {
          const place = put({ layer: last.layer + 1, size: LINE_BREADTH, before: [], after: [], passes: true });
          passing.set(key, place);
          join(last, place);
        }
        points.push(passing.get(key));
      }
      join(points.at(-1), to);
      lines.push({ from: name, to: view.name, points: [...points, to] });
    }
  }
  return lines;
}

function join(from, to) {
  from.after.push(to);
  to.before.push(from);
}

const mean = (numbers) => numbers.reduce((sum, number) => sum + number, 0) / numbers.length;

/** Sorts each layer by the mean place of its neighbours, there and back. */
function order(layers) {
  const number = (layer) => layer.forEach((place, index) => { place.index = index; });
  layers.forEach(number);
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    const side = sweep % 2 ? "after" : "before";
    for (const layer of sweep % 2 ? [...layers].reverse() : layers) {
      for (const place of layer) {
        place.wish = place[side].length ? mean(place[side].map((other) => other.index)) : place.index;
      }
      layer.sort((one, other) => one.wish - other.wish);
      number(layer);
    }
  }
}

/** Moves each place to the mean of its neighbours, as near as the order and the gaps in its layer allow. */
function spread(layers, gap, isCentred) {
  for (const layer of layers) {
    let at = 0;
    layer.forEach((place, index) => {
      if (index) at += (layer[index - 1].size + place.size) / 2 + gap;
      place.offset = at;
    });
    for (const place of layer) place.breadth = place.offset - at / 2;
  }
  if (isCentred) return;
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    for (const layer of sweep % 2 ? [...layers].reverse() : layers) settle(layer);
  }
}

/**
 * The places of one layer with the least squares of distances to their wishes. Less their offsets they must not fall,
 * so this is isotonic regression: neighbours whose wishes are the wrong way round become one block, at the mean.
 */
function settle(layer) {
  const blocks = [];
  for (const place of layer) {
    const others = [...place.before, ...place.after];
    const wish = others.length ? mean(others.map((other) => other.breadth)) : place.breadth;
    blocks.push({ places: [place], at: wish - place.offset });
    while (blocks.length > 1 && blocks.at(-2).at > blocks.at(-1).at) {
      const last = blocks.pop();
      const block = blocks.at(-1);
      const number = block.places.length + last.places.length;
      block.at = (block.at * block.places.length + last.at * last.places.length) / number;
      block.places.push(...last.places);
    }
  }
  for (const { places, at } of blocks) for (const place of places) place.breadth = at + place.offset;
}

/** A line as the path of SVG. `toScreen` turns (depth, breadth) into "x,y". */
function linePath(points, size, toScreen) {
  let path = "";
  points.slice(1).forEach((to, index) => {
    const from = points[index];
    const start = from.depth + size.depth / 2;
    const end = to.depth - size.depth / 2;
    const middle = (start + end) / 2;
    path += index ? ` L${toScreen(start, from.breadth)}` : `M${toScreen(start, from.breadth)}`;
    path += ` C${toScreen(middle, from.breadth)} ${toScreen(middle, to.breadth)} ${toScreen(end, to.breadth)}`;
  });
  return path;
}
