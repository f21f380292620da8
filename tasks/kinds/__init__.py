"""What depends on the kind of a model: how it is measured, checked, run and told, behind one interface."""
