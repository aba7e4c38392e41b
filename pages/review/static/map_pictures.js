// Small pictures by point, kept while they are likely to be asked for again.

const KEPT = 800;

// url: of the picture of a point; arrived: called when one can be drawn
export function pictures(url, arrived) {
  const known = new Map();
  return {
    // The image, or null while it is not there, or cannot be had
    get(point) {
      let image = known.get(point);
      if (image) known.delete(point);
      else {
        image = new Image();
        image.decoding = "async";
        image.onload = arrived;
        image.src = url(point);
      }
      known.set(point, image);  // as the one asked for last
      for (const [oldest, other] of known) {
        if (known.size <= KEPT) break;
        known.delete(oldest);
        other.onload = null; other.src = "";
      }
      return image.complete && image.naturalWidth ? image : null;
    },
    clear() {
      for (const image of known.values()) { image.onload = null; image.src = ""; }
      known.clear();
    },
  };
}

// Draw it to fill a square, cut at its longer sides.
export function drawSquare(context, image, x, y, size) {
  const side = Math.min(image.naturalWidth, image.naturalHeight);
  context.drawImage(image, (image.naturalWidth - side) / 2, (image.naturalHeight - side) / 2, side, side, x, y, size, size);
}
