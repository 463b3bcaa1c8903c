// The theme, set before the first paint: what was chosen on this device, else what the system prefers.
(() => {
  const KEY = "b-theme";
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    const theme = localStorage.getItem(KEY) ?? (dark.matches ? "dark" : "light");
    document.documentElement.dataset.bsTheme = theme;
  };
  apply();
  dark.addEventListener("change", apply);
  addEventListener("storage", apply); // chosen in another tab
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-b-theme]")) return;
    localStorage.setItem(KEY, document.documentElement.dataset.bsTheme === "dark" ? "light" : "dark");
    apply();
  });
})();
