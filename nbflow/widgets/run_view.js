// Replaced by the browser side of the view.
export default {
  render({ model, el }) {
    el.textContent = model.get("snapshot").head.run_id;
    model.send({ t: "hello", v: 1, visible: true });
  },
};
