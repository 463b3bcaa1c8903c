// Files that are dropped anywhere on a page.
export const whenDropped = (receive) => {
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("b-dropping");
  });
  document.addEventListener("dragleave", (event) => event.relatedTarget ?? document.body.classList.remove("b-dropping"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("b-dropping");
    receive(event.dataTransfer.files);
  });
};
