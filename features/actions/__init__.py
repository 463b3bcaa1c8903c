"""What people do to behavior: a module per noun. Every public function takes `by` and works within `by.doing`."""
