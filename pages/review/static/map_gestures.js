// Mouse, touch, pen and keys on a map, as what is meant by them. on: {pan(dx, dy), zoom(factor, x, y),
// fit(), hover(x, y) or hover(null), click(x, y), lasso(path, done), end()}; path: [x, y, x, y, ...] in
// pixels, null when it is given up. → {lassoing(bool), remove()}

const STILL = 4;  // pixels that a click may move
const STEP = 80, FACTOR = 1.4;  // of a key

export function gestures(at, on) {
  const down = new Map();  // pointers by id: their last place
  let begin = null, path = null, lasso = false, moved = false, apart = 0;
  const listening = new AbortController(), options = {signal: listening.signal};
  const placeOf = (event) => {
    const box = at.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const giveUp = () => { if (path) { path = null; on.lasso(null, true); } };
  const distance = () => {
    const [one, other] = [...down.values()];
    return Math.hypot(one[0] - other[0], one[1] - other[1]);
  };

  at.addEventListener("pointerdown", (event) => {
    if (event.button > 0) return;
    at.setPointerCapture(event.pointerId);
    down.set(event.pointerId, placeOf(event));
    if (down.size === 1) {
      begin = placeOf(event); moved = false;
      if (event.shiftKey || lasso) {
        path = [...begin];
        event.preventDefault();
        at.focus({preventScroll: true, focusVisible: false});
      }
    } else { giveUp(); moved = true; apart = distance(); }
    on.hover(null);
  }, options);

  at.addEventListener("pointermove", (event) => {
    const place = placeOf(event), before = down.get(event.pointerId);
    if (!before) { if (event.pointerType !== "touch") on.hover(...place); return; }
    if (path) {
      const [x, y] = path.slice(-2);
      if (Math.hypot(place[0] - x, place[1] - y) >= 3) { path.push(...place); on.lasso(path, false); }
      down.set(event.pointerId, place);
      return;
    }
    if (!moved && Math.hypot(place[0] - begin[0], place[1] - begin[1]) < STILL) return;
    moved = true;
    down.set(event.pointerId, place);
    on.pan((place[0] - before[0]) / down.size, (place[1] - before[1]) / down.size);
    if (down.size === 2) {
      const now = distance(), [one, other] = [...down.values()];
      if (apart > 0 && now > 0) on.zoom(now / apart, (one[0] + other[0]) / 2, (one[1] + other[1]) / 2);
      apart = now;
    }
  }, options);

  const lifted = (event, cancelled) => {
    if (!down.delete(event.pointerId)) return;
    if (path && !cancelled) { const closed = path; path = null; on.lasso(closed, true); }
    else if (path) giveUp();
    else if (!moved && !cancelled) on.click(...placeOf(event));
  };
  at.addEventListener("pointerup", (event) => lifted(event, false), options);
  at.addEventListener("pointercancel", (event) => lifted(event, true), options);
  at.addEventListener("pointerleave", () => { if (!down.size) on.hover(null); }, options);

  at.addEventListener("wheel", (event) => {
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 16 : event.deltaMode === 2 ? 400 : 1;
    // Two fingers on a touchpad arrive as a wheel with ctrl, in small steps
    const turn = Math.max(-400, Math.min(400, event.deltaY * lines)) * (event.ctrlKey ? 4 : 1);
    on.zoom(2 ** (-turn / 300), ...placeOf(event));
  }, {...options, passive: false});

  at.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const [x, y] = [at.clientWidth / 2, at.clientHeight / 2];
    const meant = {
      ArrowLeft: () => on.pan(STEP, 0), ArrowRight: () => on.pan(-STEP, 0),
      ArrowUp: () => on.pan(0, STEP), ArrowDown: () => on.pan(0, -STEP),
      "+": () => on.zoom(FACTOR, x, y), "=": () => on.zoom(FACTOR, x, y), "-": () => on.zoom(1 / FACTOR, x, y),
      0: () => on.fit(), Home: () => on.fit(), Enter: () => on.click(x, y),
      Escape: () => { if (path) giveUp(); else on.end(); },
    }[event.key];
    if (!meant) return;
    event.preventDefault();
    meant();
  }, options);

  return {lassoing: (wanted) => { lasso = wanted; }, remove: () => listening.abort()};
}
