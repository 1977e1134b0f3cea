// Stands in for the notebook in an exported page: one small model per widget, no kernel.
const models = JSON.parse(document.getElementById("fe-models").textContent);

const makeModel = (state) => {
  const listeners = new Map();
  return {
    get: (name) => state[name],
    set(name, value) {
      if (Object.is(state[name], value)) return;
      state[name] = value;
      for (const handler of [...(listeners.get(`change:${name}`) ?? []), ...(listeners.get("change") ?? [])]) handler();
    },
    on: (event, handler) => listeners.set(event, [...(listeners.get(event) ?? []), handler]),
    off: (event, handler) => listeners.set(event, (listeners.get(event) ?? []).filter((other) => other !== handler)),
    save_changes() {},
  };
};

for (const [position, { module, state }] of models.entries()) {
  const place = document.getElementById(`fe-widget-${position}`);
  try {
    const stage = document.createElement("div");
    place.before(stage);
    globalThis.feModules[module].render({ model: makeModel(state), el: stage });
    place.remove();
  } catch (error) {
    console.error(error); // the static picture and table stay
  }
}
document.documentElement.dataset.feReady = "true";
