// What lies over the points: pictures, names of groups, rings, and the lasso.

import {css} from "./map_colors.js";
import {placeLabels} from "./map_labels.js";
import {drawSquare} from "./map_pictures.js";
import {placed} from "./map_thumbnails.js";

const FONT = "600 12px system-ui, sans-serif";

// Each thumbnail: {point, ...}; imageOf(point), rgbOf(point), size of a picture in pixels, chosen: Uint8Array
// or null. → the pictures that are there: [{point, x, y}]
export function drawPictures(context, thumbnails, {view, index, size, imageOf, rgbOf, chosen, accent}) {
  const drawn = [];
  for (const one of thumbnails) {
    const image = imageOf(one.point);
    if (!image) continue;
    const [x, y] = placed(one, view, index, size);
    const back = chosen && !chosen[one.point];
    context.globalAlpha = back ? .35 : 1;
    context.fillStyle = chosen && !back ? accent : css(rgbOf(one.point));
    context.beginPath();
    context.roundRect(x, y, size, size, 4);
    context.fill();
    drawSquare(context, image, x + 2, y + 2, size - 4);
    drawn.push({point: one.point, x, y});
  }
  context.globalAlpha = 1;
  return drawn;
}

export function drawLabels(context, names, groups, {view, width, height, background, ink}) {
  context.font = FONT;
  context.textAlign = "center"; context.textBaseline = "middle";
  for (const {text, x, y, width: wide} of
    placeLabels(names, groups, view, width, height, (said) => context.measureText(said).width)) {
    context.globalAlpha = .82; context.fillStyle = background;
    context.beginPath();
    context.roundRect(x - wide / 2, y - 9, wide, 18, 4);
    context.fill();
    context.globalAlpha = 1; context.fillStyle = ink;
    context.fillText(text, x, y + .5);
  }
}

export function drawRing(context, x, y, radius, color) {
  context.strokeStyle = color; context.lineWidth = 2;
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.stroke();
}

export function drawLasso(context, path, color) {
  context.strokeStyle = color; context.fillStyle = color; context.lineWidth = 1.5;
  context.beginPath();
  for (let at = 0; at < path.length; at += 2) context.lineTo(path[at], path[at + 1]);
  context.closePath();
  context.globalAlpha = .12; context.fill();
  context.globalAlpha = 1; context.stroke();
}
