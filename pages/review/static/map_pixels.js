// Points as pixels, written into the memory of an image: quick on every machine, as no GPU is asked.

// A disc for images `width` pixels wide: offsets from the middle of the pixels that it covers, whole or
// in part (edge; share of 256). Small ones, of many points, have no soft edge.
export function disc(radius, width) {
  const half = Math.ceil(radius), solid = [], edge = [], share = [];
  for (let dy = -half; dy <= half; dy++) {
    for (let dx = -half; dx <= half; dx++) {
      const covered = Math.min(1, Math.max(0, radius + .5 - Math.hypot(dx, dy)));
      if (covered > .9 || (radius < 1.5 && covered > .4)) solid.push(dy * width + dx);
      else if (covered > .08 && radius >= 1.5) { edge.push(dy * width + dx); share.push(Math.round(256 * covered)); }
    }
  }
  return {half, solid: Int32Array.from(solid), edge: Int32Array.from(edge), share: Int32Array.from(share)};
}

// Draw the points from .. to of a cloud. pixels: Uint32Array, width * height; view: in those pixels;
// color: Uint32Array, as in `pixels`.
export function drawPoints(pixels, width, height, {x, y, color}, view, shape, from, to) {
  const {half, solid, edge, share} = shape, {scale} = view;
  const left = view.left + .5, top = view.top + .5, right = width - half, bottom = height - half;
  for (let n = from; n < to; n++) {
    const px = Math.floor(x[n] * scale + left), py = Math.floor(y[n] * scale + top);
    if (px < half || py < half || px >= right || py >= bottom) continue;
    const at = py * width + px, paint = color[n];
    for (let s = 0; s < solid.length; s++) pixels[at + solid[s]] = paint;
    for (let e = 0; e < edge.length; e++) {
      const to = at + edge[e], under = pixels[to], a = share[e], b = 256 - a;
      const redBlue = (Math.imul(under & 0xff00ff, b) + Math.imul(paint & 0xff00ff, a)) >>> 8 & 0xff00ff;
      const green = (Math.imul(under & 0xff00, b) + Math.imul(paint & 0xff00, a)) >>> 8 & 0xff00;
      pixels[to] = 0xff000000 | redBlue | green;
    }
  }
}

// All positions in an order that is always the same and follows nothing in the data: else the last
// class of a list would cover the others. So the first ones are a sample of all, too.
export function shuffled(count) {
  const order = Uint32Array.from({length: count}, (_, i) => i);
  let state = 12345;
  for (let i = count - 1; i > 0; i--) {
    state = Math.imul(state, 1664525) + 1013904223 >>> 0;
    const j = Math.floor(state / 2 ** 32 * (i + 1)), kept = order[i];
    order[i] = order[j]; order[j] = kept;
  }
  return order;
}
