"""What an operator deploys: rules, dashboards, and the code that writes them."""
